"""HTML in texts: what stands between tags is translated, inline tags go around the words that they belong to.

Segments end at every tag that isn't inline (paragraphs, line breaks, cells). Attributes, comments, scripts and
code stay. A segment whose tags can't be placed, or whose translation lacks a placeholder, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.xml_inline import Segment, translated
from neuronspec.deploy.translator import Translator

INLINE = frozenset(
    ["a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "img", "input",
     "ins", "label", "mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "wbr"]
)  # fmt: skip
"""Elements within a sentence."""

OPAQUE = {"code": True, "kbd": True, "samp": True, "var": True, "pre": False, "script": False, "style": False,
          "svg": False, "textarea": False}  # fmt: skip
"""Elements whose content isn't translated, and whether they stand within a sentence."""

MOST_TAGS = 200
"""Inline tags in a segment; one with more stays as it is."""

_VOID = frozenset(["img", "input", "wbr"])
_ATTRIBUTES = r"""(?:[^"'<>]|"[^"]*"|'[^']*')*"""
_MARKUP = re.compile(
    rf"<!--.*?-->|<[!?][^>]*>|<(?P<opaque>{'|'.join(OPAQUE)})\b{_ATTRIBUTES}>.*?</(?P=opaque)\s*>"
    rf"|<(?P<close>/?)(?P<name>[a-z][a-z0-9-]*)\b{_ATTRIBUTES}>",
    re.IGNORECASE | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\r\n\f]+")
"""White space of HTML; a no-break space is text."""


def plain_of(text: str) -> str:
    """A text without markup, as its language is detected from."""
    return unescape(_MARKUP.sub(" ", text))


def translate_html(translator: Translator, direction: Direction, texts: Sequence[str]) -> list[str]:
    """Translate texts with HTML in them.

    Args:
        translator: serves the direction.
        direction: of the translation.
        texts: fragments or whole pages.
    """
    pieces = [list(_pieces(text)) for text in texts]
    segments = [(piece, segment) for each in pieces for piece in each if (segment := _segment(piece)) is not None]
    found = translated(translator, direction, [segment for _, segment in segments])
    written = {
        id(piece): content for (piece, _), (content, problem) in zip(segments, found, strict=True) if not problem
    }
    return ["".join(written.get(id(piece), "".join(map(_raw, piece))) for piece in each) for each in pieces]


def _pieces(text: str) -> Iterator[list[str | Tag]]:
    """What is between breaks, and the breaks."""
    piece: list[str | Tag] = []
    at = 0
    for match in _MARKUP.finditer(text):
        if match.start() > at:
            piece.append(text[at : match.start()])
        at = match.end()
        tag = _tag(match)
        if tag is not None:
            piece.append(tag)
            continue
        yield piece
        yield [Tag(match[0], "single")]
        piece = []
    yield [*piece, text[at:]] if text[at:] else piece


def _tag(match: re.Match[str]) -> Tag | None:
    """An inline tag; None for one that ends a segment."""
    if match["opaque"]:
        return Tag(match[0], "single") if OPAQUE[match["opaque"].lower()] else None
    name = (match["name"] or "").lower()
    if name not in INLINE:
        return None
    if name in _VOID or match[0].endswith("/>"):
        return Tag(match[0], "single")
    return Tag(match[0], "close" if match["close"] else "open", name, nested=True)


def _segment(piece: list[str | Tag]) -> Segment | None:
    """What is translated of a piece; None where it holds no text, or tags that no person nested so deeply."""
    if sum(isinstance(part, Tag) for part in piece) > MOST_TAGS:
        return None
    inline = [part if isinstance(part, Tag) else _SPACE.sub(" ", unescape(part)) for part in piece]
    if not any(isinstance(part, str) and part.strip() for part in inline):
        return None
    before = after = ""
    if isinstance(piece[0], str) and isinstance(inline[0], str):
        inline[0] = inline[0].lstrip(" ")
        before = piece[0][: len(piece[0]) - len(piece[0].lstrip(" \t\r\n\f"))]
    if isinstance(piece[-1], str) and isinstance(inline[-1], str):
        inline[-1] = inline[-1].rstrip(" ")
        after = piece[-1][len(piece[-1].rstrip(" \t\r\n\f")) :]
    return Segment(before, inline, after)


def _raw(part: str | Tag) -> str:
    return part if isinstance(part, str) else part.written
