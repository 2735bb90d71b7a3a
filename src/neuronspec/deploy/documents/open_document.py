"""OpenDocument (`.odt`, `.odp`): paragraphs and headings, with formatting around the words that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.archive import rewrite_members
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Rewriter, Span, framed, joined
from neuronspec.deploy.documents.xml_paragraphs import rewrite_paragraphs
from neuronspec.deploy.documents.xml_source import Document, Element, runs_of, xml_text
from neuronspec.deploy.translator import Translator

AROUND = {"span", "a", "meta"}
"""Elements around text."""

BREAKS = {"line-break", "tab"}
"""Elements that end a sentence, at any depth."""

PARTING = {"frame", "custom-shape", "s"}
"""Elements that stand in a sentence, and part the words around them: pictures, several spaces."""

SKIPPED = {"tracked-changes", "annotation"}
"""Elements whose paragraphs stay."""


def translate_odf(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the paragraphs of a text or a presentation, also in tables, headers, footers, notes and frames.

    Comments, deleted text and properties stay. Readings above words (ruby) are left out.

    Raises:
        CorpusError: it isn't such a document, encrypted, or damaged.
    """
    rewriter = Rewriter(translator, direction, source.name)

    def rewrite(name: str, raw: bytes) -> bytes:
        return rewrite_paragraphs(rewriter, name, raw, {"p", "h"}, SKIPPED, _spans)

    rewrite_members(source, stream, lambda name: name in ("content.xml", "styles.xml"), rewrite)
    rewriter.report()


def _spans(document: Document, paragraph: Element) -> Iterator[Span]:
    """What is between breaks."""
    if paragraph.close == paragraph.end:
        return
    for start, end, parts in map(_without_indent, runs_of(paragraph, _parts)):
        yield Span(start, end, framed(list(_inline(document, parts)), xml_text))


def _without_indent(run: tuple[int, int, list[str | Element]]) -> tuple[int, int, list[str | Element]]:
    """What is between breaks, without the elements for spaces before it, as many as there are."""
    start, end, parts = run
    spaces = next((at for at, part in enumerate(parts) if isinstance(part, str) or part.name != "s"), len(parts))
    before = parts[:spaces]
    return (before[-1].end if before and isinstance(before[-1], Element) else start), end, parts[spaces:]


def _parts(part: Element) -> bool:
    """Whether an element is a break, or text around one."""
    return part.name in BREAKS or (part.name in AROUND and any(map(_parts, part.children)))


def _ruby_base(part: Element) -> Element | None:
    """What a reading is above (ruby): the reading is no part of a translation."""
    base = part.child("ruby-base") if part.name == "ruby" else None
    return None if base is None or any(any(base.iter(name)) for name in BREAKS) else base


def _inline(document: Document, parts: list[str | Element]) -> Iterator[str | Tag]:
    yield ""  # there is always some text
    for part in parts:
        if isinstance(part, str):
            yield joined(part)
        elif part.name == "s" and part.attributes.get(f"{part.namespace} c", "1") == "1":
            yield " "
        elif (base := _ruby_base(part)) is not None:
            yield from _inline(document, base.content)
        elif part.name in AROUND and part.close < part.end:
            pair = str(part.start)
            yield Tag(document.written(part.start, part.inside), "open", pair, nested=True)
            yield from _inline(document, part.content)
            yield Tag(document.written(part.close, part.end), "close", pair, nested=True)
        else:
            yield Tag(document.written(part.start, part.end), "single", is_break=part.name in PARTING)


ODF = Format(translate_odf, own_marks=True)
