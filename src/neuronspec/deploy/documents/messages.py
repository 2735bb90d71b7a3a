"""Messages of programs, as catalogs hold them: what is markup in one, and translating them with it.

An accelerator (`_File`) is taken out of a label, and put into its translation.

A message counts as marked up if it has tags and all of them are closed and nested, as in `Click <b>here</b>`, or need
no end, as `<br>`. Its inline tags are taken out and put around the words that they belong to
(`neuronspec.deploy.documents.markup`). Any other message is translated as it is, `Copy <file> to <folder>` too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import unescape

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.accelerators import Label
from neuronspec.deploy.documents.assisted import recalled
from neuronspec.deploy.documents.checks import problem_with, unfit
from neuronspec.deploy.documents.html_text import BLOCKS, VOID, markup_of, pieces_of, segment_of
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.xml_inline import MOST_TAGS, Segment, translated
from neuronspec.deploy.translator import Translator

_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]*|#[0-9]+|#[xX][0-9A-Fa-f]+);")
_BLANK_LINES = re.compile(r"(\n[ \t\r]*\n\s*)")


def translate_messages(translator: Translator, direction: Direction, texts: Sequence[str]) -> list[tuple[str, str]]:
    """By message, its translation and what is wrong with it; one of them is empty.

    A translation has exactly the placeholders, tags and entities of its message, and tags in the same elements.

    Args:
        translator: serves the direction.
        direction: of the translation.
        texts: the messages.
    """
    results = {text: ("", unfit(text) if text.strip() else "it has no text") for text in texts}
    labels = {text: label for text in results if (label := Label.of(text)) is not None}
    for text, (_, problem) in results.items():
        if not problem and (text in labels or is_marked_up(text)):
            reused = recalled(translator, text) or ""  # as it is, with its markup
            results[text] = reused, _lost_markup(text, reused) if reused else ""
    wanted = [text for text, (translation, problem) in results.items() if not translation and not problem]
    marked = [text for text in wanted if is_marked_up(text)]
    results.update(zip(marked, _of_marked(translator, direction, marked), strict=True))
    plain = [text for text in wanted if not is_marked_up(text)]
    found = translator([labels[text].text if text in labels else text for text in plain], str(direction))
    for text, translation in zip(plain, found, strict=True):
        problem = problem_with(text, translation)
        results[text] = _of_label(labels[text], translation) if text in labels else (translation, problem)
    return [("", results[text][1]) if results[text][1] else results[text] for text in texts]


def _of_marked(translator: Translator, direction: Direction, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    pieces = [list(_pieces(text)) for text in texts]
    segments = [part for each in pieces for part in each if isinstance(part, Segment)]
    found = iter(translated(translator, direction, segments))
    for text, each in zip(texts, pieces, strict=True):
        parts = [(part, "") if isinstance(part, str) else next(found) for part in each]
        translation = "".join(content for content, _ in parts)
        problem = next((problem for _, problem in parts if problem), "")
        yield translation, problem or _lost_markup(text, translation)


def _of_label(label: Label, translation: str) -> tuple[str, str]:
    marked = label.marked(translation)
    problem = problem_with(label.text, translation)
    return marked or "", problem or ("" if marked else f"the translation has no place for the accelerator {label.mark}")


def is_marked_up(text: str) -> bool:
    """Whether a message has markup: tags that are all closed and nested, or need no end.

    Examples:
        >>> is_marked_up("Click <a href='%(url)s'>here</a>"), is_marked_up("Copy <file> to <folder>")
        (True, False)
    """
    return bool(_elements(text))


def _elements(text: str) -> Counter[tuple[str, ...]]:
    """How often each tag occurs, after the tags that it is in; empty where the tags don't fit together."""
    found: Counter[tuple[str, ...]] = Counter()
    waiting: list[tuple[str, str]] = []
    for match in markup_of(text):
        name = (match["name"] or "").lower()
        if match["close"]:
            if not waiting or waiting.pop()[0] != name:
                return Counter()
            continue
        found[(*(tag for _, tag in waiting), match[0])] += 1
        if found.total() > MOST_TAGS:
            return Counter()
        if name and name not in VOID and not match[0].endswith("/>"):
            waiting.append((name, match[0]))
    return Counter() if waiting else found


def _lost_markup(text: str, translation: str) -> str:
    problem = problem_with(text, translation)
    return problem or ("" if _elements(text) == _elements(translation) else "its markup is nested otherwise")


def _pieces(text: str) -> Iterator[str | Segment]:
    """What is translated at once, and what stays as it is; elements that aren't HTML's stand within sentences."""
    own = {match["name"].lower() for match in markup_of(text) if match["name"]} - BLOCKS - VOID
    write = _as_in(text)
    for piece in pieces_of(text, own):
        for part in _parted(piece):
            segment = segment_of(part, write)
            yield segment if segment is not None else "".join(x if isinstance(x, str) else x.written for x in part)


def _parted(piece: list[str | Tag]) -> Iterator[list[str | Tag]]:
    """A piece, ended at blank lines."""
    own: list[str | Tag] = []
    for part in piece:
        if isinstance(part, Tag):
            own.append(part)
            continue
        first, *rest = _BLANK_LINES.split(part)
        own += [first] if first else []
        for text in rest:
            yield own
            own = [text] if text else []
    yield own


def _as_in(text: str) -> Callable[[str], str]:
    """Writes text as a message does: characters that are entities in it as these, all others as they are."""
    entities = {unescape(found): found for found in _ENTITY.findall(text)}
    table = str.maketrans({character: found for character, found in entities.items() if len(character) == 1})
    return lambda content: content.translate(table)
