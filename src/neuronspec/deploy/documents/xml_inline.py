"""The inline markup of XLIFF and TMX: a segment as text and tags, and its translation as text and tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neuronspec.core.direction import Direction
from neuronspec.core.errors import ModelError
from neuronspec.deploy.documents.checks import problem_with, unfit
from neuronspec.deploy.documents.markup import Inline, Tag, plain, with_tags
from neuronspec.deploy.documents.xml_source import Document, Element, xml_text
from neuronspec.deploy.translator import Translator
from neuronspec.models.text_cleaning import clean_text
from neuronspec.translation.alignment import Aligned

AROUND = {"g", "mrk", "pc", "hi"}
"""Elements around text."""

OPENING = {"bpt": ("rid", "id", "i"), "bx": ("rid", "id"), "sc": ("id",), "sm": ("id",)}
CLOSING = {"ept": ("rid", "id", "i"), "ex": ("rid", "id"), "ec": ("startRef", "id"), "em": ("startRef", "id")}
"""Elements that stand for an opening or a closing tag, and the attributes that may say which ones belong together."""

ALONE = {"x", "ph", "it", "ut", "cp"}
"""Elements that stand for something without text."""

_KINDS, _SHOWN = ("ctype", "type", "subType"), ("equiv-text", "equiv", "disp")
"""The attributes that say what an element is, and those that say what it stands for."""

_BREAKS = {"lb", "pb", "image", "xlf:lb", "xlf:pb", "x-br", "x-html-br", "x-img", "x-html-img"}
_BREAK_TAG = re.compile(r"\s*<(?:br|hr|img|input)\b", re.IGNORECASE)

_PROTECTED = {"protected", "x-its-translate-no"}
"""Types of `<mrk>` whose text isn't translated; XLIFF 2 says `translate="no"`."""

MOST_TAGS = 200
"""Tags in a segment; one with more stays as it is: no person wrote it, and placing them takes long."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is translated at once.

    Args:
        before: the white space before the text.
        inline: text and tags.
        after: the white space after the text.
        write: how text is written between tags.
        written: what is written where the translation is the same text; by default, the text is escaped anew.
    """

    before: str
    inline: Inline
    after: str
    write: Callable[[str], str] = xml_text
    written: str | None = None

    @property
    def text(self) -> str:
        """The text that is translated; spaces around a tag count once."""
        return " ".join(plain(self.inline).split()) if self.has_tags else plain(self.inline)

    @property
    def has_tags(self) -> bool:
        """Whether there is markup."""
        return any(isinstance(piece, Tag) for piece in self.inline)

    @classmethod
    def of(cls, document: Document, source: Element) -> Segment:
        """The content of an element; lines that were only wrapped are joined.

        Raises:
            ValueError: it can't be translated; says why.
        """
        if not source.whole:
            raise ValueError("it has an entity that the file doesn't define")
        inline = merged(_inline(document, source))
        before = _space(inline[0], first=True)
        after = _space(inline[-1], first=False) if source.text.strip() else ""
        inline = _without(inline, before, after)
        if not source.keeps_space:
            inline = [piece if isinstance(piece, Tag) else _joined(piece) for piece in inline]
        elif "\n" in plain(inline) and len(inline) > 1:
            raise ValueError("it has markup in several lines")
        return cls(xml_text(before), inline, xml_text(after))


def translated(translator: Translator, direction: Direction, segments: Sequence[Segment]) -> list[tuple[str, str]]:
    """By segment, the translation as it is written, and what is wrong with it; one of them is empty.

    Args:
        translator: serves the direction.
        direction: of the translation.
        segments: to translate.
    """
    reasons = [_too_many_tags(segment) or unfit(segment.text) for segment in segments]
    fit = [segment for segment, reason in zip(segments, reasons, strict=True) if not reason]
    found = iter(_translated(translator, direction, fit))
    return [("", reason) if reason else next(found) for reason in reasons]


def _too_many_tags(segment: Segment) -> str:
    number = sum(isinstance(piece, Tag) for piece in segment.inline)
    return f"it has {number} tags inside, more than {MOST_TAGS}" if number > MOST_TAGS else ""


def _translated(translator: Translator, direction: Direction, segments: list[Segment]) -> list[tuple[str, str]]:
    found = translator([segment.text for segment in segments], str(direction))
    # words are found in cleaned text, and a memory's may be written otherwise
    texts = [clean_text(text).text if each.has_tags else text for each, text in zip(segments, found, strict=True)]
    marked = [(segment, text) for segment, text in zip(segments, texts, strict=True) if segment.has_tags]
    words: list[Aligned] = []
    unread = ""
    try:
        if marked:
            words = translator.align([each.text for each, _ in marked], [text for _, text in marked], str(direction))
    except ModelError as error:
        unread = f"it has markup, and {error}"
    aligned = iter(words)
    results = []
    for segment, written, text in zip(segments, found, texts, strict=True):
        own = next(aligned, None) if segment.has_tags else None
        problem = problem_with(segment.text, text) or (unread if segment.has_tags else "")
        content = with_tags(segment.inline, text, own, segment.write) if own else segment.write(text)
        if content is None:
            problem = problem or "its markup can't be placed in the translation"
        whole = f"{segment.before}{content}{segment.after}"
        if segment.written is not None and written.strip() == segment.text.strip():
            whole = segment.written
        results.append(("", problem) if problem else (whole, ""))
    return results


def _inline(document: Document, element: Element) -> list[str | Tag]:
    """Text and tags of an element's content."""
    found: list[str | Tag] = []
    for part in element.content:
        if isinstance(part, str):
            found.append(part)
        elif _is_kept(part):
            found.append(Tag(document.written(part.start, part.end), "single"))
        elif part.name in AROUND and part.close < part.end:
            pair = f"{part.name} {part.start}"
            opening = Tag(document.written(part.start, part.inside), "open", pair, nested=True)
            closing = Tag(document.written(part.close, part.end), "close", pair, nested=True)
            found += [opening, *_inline(document, part), closing]
        elif part.name in AROUND | ALONE | OPENING.keys() | CLOSING.keys():
            written = document.written(part.start, part.end)
            kind = "open" if part.name in OPENING else "close" if part.name in CLOSING else "single"
            keys = OPENING.get(part.name) or CLOSING.get(part.name) or ()
            pair = next((part.attributes[key] for key in keys if key in part.attributes), "")
            found.append(Tag(written, kind, pair, is_break=kind == "single" and _is_break(part)))  # type: ignore[arg-type]
        else:
            raise ValueError(f"it has the markup <{part.name}> inside, which isn't known")
    return found


def _is_kept(element: Element) -> bool:
    """Whether an element says that the text in it isn't translated.

    Raises:
        ValueError: it begins such a text, and another element ends it.
    """
    kept = element.attributes.get("translate") == "no" or element.attributes.get("mtype") in _PROTECTED
    if kept and element.name == "sm":
        raise ValueError("it has text that isn't to be translated after <sm>")
    return kept and element.name == "mrk"


def _is_break(element: Element) -> bool:
    """Whether an element stands for what parts words: a line break, a page break, a picture, a field."""
    kinds = (element.attributes.get(name, "") for name in _KINDS)
    shown = (element.text, _original(element), *(element.attributes.get(name, "") for name in _SHOWN))
    return any(kind in _BREAKS for kind in kinds) or any(map(_BREAK_TAG.match, shown))


def _original(element: Element) -> str:
    """The code that an element of XLIFF 2 stands for, where its unit has it."""
    unit = element.parent
    while unit is not None and unit.name != "unit":
        unit = unit.parent
    data = unit.child("originalData") if unit is not None and "dataRef" in element.attributes else None
    codes = data.children if data is not None else []
    return next((each.text for each in codes if each.attributes.get("id") == element.attributes["dataRef"]), "")


def merged(inline: Inline) -> list[str | Tag]:
    """With neighbouring texts as one."""
    found: list[str | Tag] = []
    for piece in inline:
        if found and isinstance(piece, str) and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return found or [""]


def _space(piece: str | Tag, *, first: bool) -> str:
    """The white space at the beginning or the end of a text."""
    if isinstance(piece, Tag):
        return ""
    stripped = piece.lstrip() if first else piece.rstrip()
    return piece[: len(piece) - len(stripped)] if first else piece[len(stripped) :]


def _without(inline: list[str | Tag], before: str, after: str) -> list[str | Tag]:
    """Without the white space around the text."""
    kept_pieces = list(inline)
    if before and isinstance(kept_pieces[0], str):
        kept_pieces[0] = kept_pieces[0][len(before) :]
    if after and isinstance(kept_pieces[-1], str):
        kept_pieces[-1] = kept_pieces[-1][: -len(after)]
    return kept_pieces


def _joined(text: str) -> str:
    """Each run of white space as one space."""
    inner = " ".join(text.split())
    return f"{' ' if text[:1].isspace() else ''}{inner}{' ' if inner and text[-1:].isspace() else ''}"
