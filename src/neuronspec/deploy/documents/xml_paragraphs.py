"""Paragraphs of text documents in XML, translated where they stand; also those in other paragraphs, as in notes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.spans import Rewriter, Span
from neuronspec.deploy.documents.xml_source import Document, Element

DEEPEST = 10
"""Levels of paragraphs in paragraphs at most; a note in a text box has two."""

Spans = Callable[[Document, Element], Iterable[Span]]


def rewrite_paragraphs(
    rewriter: Rewriter, name: str, raw: bytes, names: Collection[str], skipped: Collection[str], spans_of: Spans
) -> bytes:
    """Rewrite a file, the innermost paragraphs first: the others have them among their markup.

    Args:
        rewriter: of the whole document.
        name: of the file, for messages.
        raw: its bytes.
        names: of paragraphs, without prefix.
        skipped: of elements whose paragraphs stay.
        spans_of: what is translated of a paragraph.

    Raises:
        CorpusError: it isn't XML, or paragraphs are nested too deeply.
    """
    document = Document(name, raw)
    deepest = max((depth for depth, _ in _paragraphs(document.root, names, skipped)), default=-1)
    if deepest > DEEPEST:
        raise CorpusError(f"{name}: paragraphs are nested more than {DEEPEST} levels deep")
    for depth in reversed(range(deepest + 1)):
        document = Document(name, raw)
        spans: list[Span] = []
        for own, element in _paragraphs(document.root, names, skipped):
            if own != depth:
                continue
            if element.whole:
                spans += spans_of(document, element)
            elif element.text.strip():
                rewriter.leave(element.line, "it has an entity that the file doesn't define")
        edits = rewriter.edits(
            spans,
            lambda span, written=document.written: written(span.start, span.end),  # type: ignore[misc]
            lambda span, line=document.line: line(span.start),  # type: ignore[misc]
        )
        for start, end, text in edits:
            document.replace(start, end, text)
        raw = document.encoded()
    return raw


def _paragraphs(
    element: Element, names: Collection[str], skipped: Collection[str], depth: int = 0
) -> Iterator[tuple[int, Element]]:
    for child in element.children:
        if child.name in skipped:
            continue
        own = child.name in names
        if own:
            yield depth, child
        yield from _paragraphs(child, names, skipped, depth + own)
