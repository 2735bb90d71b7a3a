"""HTML in texts: what stands between tags is translated, inline tags go around the words that they belong to.

Segments end at every tag that isn't inline (paragraphs, line breaks, cells). Attributes, comments, scripts and
code stay. A segment whose tags can't be placed, or whose translation lacks a placeholder, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from html import unescape
from xml.sax.saxutils import escape

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

BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
     "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
     "head", "header", "hgroup", "html", "iframe", "legend", "li", "main", "menu", "nav", "object", "ol",
     "optgroup", "option", "p", "section", "select", "summary", "table", "tbody", "td", "tfoot", "th", "thead",
     "title", "tr", "ul", "video"]
)  # fmt: skip
"""Elements that hold sentences; of others, only these are told from the ones that programs make up."""

MOST_TAGS = 200
"""Inline tags in a segment; one with more stays as it is."""

VOID = frozenset(["br", "hr", "img", "input", "wbr"])
"""Elements that have no end tag, among those that are seen in messages."""

_ATTRIBUTES = r"""(?:[^"'<>]|"[^"]*"|'[^']*')*"""
MARKUP = re.compile(
    rf"<!--.*?-->|<[!?][^>]*>|<(?P<opaque>{'|'.join(OPAQUE)})\b{_ATTRIBUTES}>.*?</(?P=opaque)\s*>"
    rf"|<(?P<close>/?)(?P<name>[a-z][a-z0-9-]*|[0-9]+(?=\s*/?>))\b{_ATTRIBUTES}>",
    re.IGNORECASE | re.DOTALL,
)
"""Comments, elements whose content isn't translated, and tags; also the numbered ones of messages, `<0>here</0>`."""

_SPACE = re.compile(r"[ \t\r\n\f]+")
"""White space of HTML; a no-break space is text."""


def plain_of(text: str) -> str:
    """A text without markup, as its language is detected from."""
    return unescape(MARKUP.sub(" ", text))


def translate_html(translator: Translator, direction: Direction, texts: Sequence[str]) -> list[str]:
    """Translate texts with HTML in them.

    Args:
        translator: serves the direction.
        direction: of the translation.
        texts: fragments or whole pages.
    """
    pieces = [[(piece, segment_of(piece)) for piece in pieces_of(text)] for text in texts]
    segments = [segment for each in pieces for _, segment in each if segment is not None]
    found = iter(translated(translator, direction, segments))
    return [
        "".join(_written(piece) if segment is None else next(found)[0] or _written(piece) for piece, segment in each)
        for each in pieces
    ]


def pieces_of(text: str, also_inline: Collection[str] = ()) -> Iterator[list[str | Tag]]:
    """What is between breaks, and the breaks.

    Args:
        text: with HTML in it.
        also_inline: names of further elements that stand within a sentence.
    """
    piece: list[str | Tag] = []
    at = 0
    for match in MARKUP.finditer(text):
        if match.start() > at:
            piece.append(text[at : match.start()])
        at = match.end()
        tag = _tag(match, also_inline)
        if tag is not None:
            piece.append(tag)
            continue
        yield piece
        yield [Tag(match[0], "single")]
        piece = []
    yield [*piece, text[at:]] if text[at:] else piece


def _tag(match: re.Match[str], also_inline: Collection[str]) -> Tag | None:
    """An inline tag; None for one that ends a segment."""
    if match["opaque"]:
        return Tag(match[0], "single") if OPAQUE[match["opaque"].lower()] else None
    name = (match["name"] or "").lower()
    if name not in INLINE and name not in also_inline and not name.isdecimal():
        return None
    if name in VOID or match[0].endswith("/>"):
        return Tag(match[0], "single")
    return Tag(match[0], "close" if match["close"] else "open", name, nested=True)


def segment_of(piece: list[str | Tag], write: Callable[[str], str] = escape) -> Segment | None:
    """What is translated of a piece; None where it holds no text, or tags that no person nested so deeply.

    Args:
        piece: text and inline tags.
        write: how text is written between tags.
    """
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
    return Segment(before, inline, after, write)


def _written(piece: list[str | Tag]) -> str:
    return "".join(part if isinstance(part, str) else part.written for part in piece)
