"""HTML in texts: what stands between tags is translated, inline tags go around the words that they belong to.

Segments end at every tag that isn't inline (paragraphs, line breaks, cells). Attributes, comments, scripts, code, what
is marked `translate="no"` or `class="notranslate"` and what is in another language (`lang`) stay. A segment whose tags
can't be placed, or whose translation lacks a placeholder, stays as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from html import unescape
from xml.sax.saxutils import escape

from neuronspec.core.direction import Direction
from neuronspec.core.languages import match_language
from neuronspec.deploy.documents.checks import keeping
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.xml_inline import Segment, translated
from neuronspec.deploy.translator import Translator

INLINE = frozenset(
    ["a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "img", "input",
     "ins", "label", "mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "wbr"]
)  # fmt: skip
"""Elements within a sentence."""

OPAQUE = {"code": True, "kbd": True, "math": True, "samp": True, "var": True, "pre": False, "script": False,
          "style": False, "svg": False, "textarea": False}  # fmt: skip
"""Elements whose content isn't translated, and whether they stand within a sentence."""

BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "body", "button", "caption", "center", "dd", "details", "dialog",
     "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
     "head", "header", "hgroup", "html", "iframe", "legend", "li", "main", "menu", "nav", "object", "ol",
     "optgroup", "option", "p", "section", "select", "summary", "table", "tbody", "td", "tfoot", "th", "thead",
     "title", "tr", "ul", "video"]
)  # fmt: skip
"""Elements that hold sentences; of others, only these are told from the ones that programs make up."""

VOID = frozenset(["br", "hr", "img", "input", "wbr"])
"""Elements that have no end tag, among those that are seen in messages."""

PARTING = frozenset(["img", "input"])
"""Those within a sentence that part words, with or without spaces around them."""

_NO_END = VOID | {"area", "base", "col", "embed", "link", "meta", "source", "track"}
"""Elements that have no end tag, in pages."""

_IMPLIED = frozenset(["dd", "dt", "li", "option", "p", "td", "th", "tr"])
"""Elements that may end where the next of the same name begins."""

_RAW = ("script", "style", "textarea")
"""Of those whose content isn't translated, the ones that hold no elements: the first end tag is theirs."""

_ATTRIBUTES = r"""(?:[^"'<>]|"[^"]*"|'[^']*')*"""
_NAME_END = "(?![a-z0-9:_.-])"
_TAG = rf"<(?P<close>/?)(?P<name>[a-z][a-z0-9:_.-]*|[0-9]+(?=\s*/?>)){_NAME_END}{_ATTRIBUTES}>"
_OPAQUE = rf"<(?P<opaque>{'|'.join(OPAQUE)}){_NAME_END}"
_WHOLE = r"<\?(?:(?!<\?).)*?\?>|<!\[CDATA\[.*?\]\]>"
"""Programs (`<?php ... ?>`) and text without markup, in which `>` ends nothing."""

_FLAGS = re.IGNORECASE | re.DOTALL
_MARKUP = re.compile(rf"<!--.*?-->|{_WHOLE}|<[!?][^>]*>|{_OPAQUE}{_ATTRIBUTES}>.*?</(?P=opaque)\s*>|{_TAG}", _FLAGS)
_UNCLOSED = re.compile(rf"(?P<opaque>(?!))|<[!?][^>]*>|{_TAG}", _FLAGS)
_EMPTY = re.compile(rf"{_OPAQUE}{_ATTRIBUTES}(?<=/)>", _FLAGS)
_FOREIGN = ("math", "svg")
"""Elements that `/>` ends also outside of XML."""
START_TAG = re.compile(_TAG, _FLAGS)
_START = re.compile(rf"<!--|<!\[CDATA\[|<\?|{_OPAQUE}|<[!?/a-z0-9]", _FLAGS)
_ATTRIBUTE = re.compile(
    r"""(?:\s|(?<=["']))(?P<name>[^\s"'<>/=]+)\s*=\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'<>]*[^\s"'<>/]))"""
)
_LANGUAGE = re.compile("[A-Za-z0-9_-]+")
_UNTRANSLATED = {"translate": re.compile(r"no\b", re.IGNORECASE), "class": re.compile(r".*\bnotranslate\b", _FLAGS)}
"""Attributes, and the values of them that say that an element isn't translated."""
_SPACE = re.compile(r"[ \t\r\n\f]+")
"""White space of HTML; a no-break space is text."""


def plain_of(text: str) -> str:
    """A text without markup, as its language is detected from."""
    pieces, at = [], 0
    for match in markup_of(text):
        pieces.append(text[at : match.start()])
        at = match.end()
    return unescape(" ".join([*pieces, text[at:]]))


def markup_of(text: str) -> Iterator[re.Match[str]]:
    """Comments, elements whose content isn't translated (`opaque`), and tags (`close`, `name`).

    Also the numbered tags of messages, `<0>here</0>`. Time is linear: no end is looked for where there is none.

    Args:
        text: with HTML in it.
    """
    ends = {"": ">", "<!--": "-->", "<?": "?>", "<![cdata[": "]]>"}
    last = {kind: text.rfind(end) for kind, end in ends.items()}
    is_xml = text.lstrip().startswith("<?xml")
    elements: dict[str, dict[int, int]] = {}
    at = 0
    while (start := _START.search(text, at)) is not None and start.start() < last[""]:
        begin, kind = start.start(), (start["opaque"] or start[0]).lower()
        if start["opaque"] and kind not in elements:
            elements[kind] = _opaque_ends(text, kind, is_xml)
        if begin in elements.get(kind, ()):
            match = _MARKUP.fullmatch(text, begin, elements[kind][begin]) or _MARKUP.match(text, begin)
        else:
            is_whole = not start["opaque"] and begin <= last.get(kind, len(text))
            match = (_MARKUP if is_whole else _UNCLOSED).match(text, begin)
        if match is not None:
            yield match
        at = match.end() if match is not None else begin + 1


def _opaque_ends(text: str, kind: str, is_xml: bool) -> dict[int, int]:
    """Where elements end whose content stays, by where they begin; without those that have no content or no end.

    Of elements in one another each has its own end. One that lacks it ends where the next of its kind does.
    """
    ends = dict[int, int]()
    waiting, unended, closed = list[int](), list[int](), list[int]()
    for tag in re.finditer(rf"<{kind}{_NAME_END}|(?P<close></{kind}\s*>)", text, re.IGNORECASE):
        place = tag.start()
        if not tag["close"]:
            if not ((is_xml or kind in _FOREIGN) and _EMPTY.match(text, place)):
                waiting.append(place)
            continue
        closed.append(tag.end())
        if waiting:
            ends[waiting.pop()] = tag.end()
        if kind in _RAW:
            unended += waiting
            waiting.clear()
    for place in (*unended, *waiting):
        if (following := bisect_right(closed, place)) < len(closed):
            ends[place] = closed[following]
    return ends


def translate_html(translator: Translator, direction: Direction, texts: Sequence[str]) -> list[str]:
    """Translate texts with HTML in them.

    Args:
        translator: serves the direction.
        direction: of the translation.
        texts: fragments or whole pages.
    """
    pieces = [[(piece, segment_of(piece)) for piece in pieces_of(text, source=direction.source)] for text in texts]
    segments = [segment for each in pieces for _, segment in each if segment is not None]
    found = iter(translated(translator, direction, segments))
    return [
        "".join(
            written_of(piece) if segment is None else next(found)[0] or written_of(piece) for piece, segment in each
        )
        for each in pieces
    ]


def pieces_of(text: str, also_inline: Collection[str] = (), source: str | None = None) -> Iterator[list[str | Tag]]:
    """What is between breaks, and the breaks.

    Args:
        text: with HTML in it.
        also_inline: names of further elements that stand within a sentence.
        source: the language that is translated: what says that it is in another one stays.
    """
    piece: list[str | Tag] = []
    at = 0
    for match, end in elements_of(text, source):
        if match.start() > at:
            piece.append(text[at : match.start()])
        at = end
        tag = _tag(match, text[match.start() : end], also_inline)
        if tag is not None:
            piece.append(tag)
            continue
        yield piece
        yield [Tag(text[match.start() : end], "single")]
        piece = []
    yield [*piece, text[at:]] if text[at:] else piece


def elements_of(text: str, source: str | None = None) -> Iterator[tuple[re.Match[str], int]]:
    """Tags, comments and elements whose content stays, and where each of them ends.

    Args:
        text: with HTML in it.
        source: as of `pieces_of`.
    """
    matches = list(markup_of(text))
    done = 0
    for at, match in enumerate(matches):
        if match.start() < done:
            continue
        done = match.end()
        name = (match["name"] or "").lower()
        if name and name not in _NO_END and not match["close"] and not match[0].endswith("/>"):
            done = _end(text, matches, at) if stays(match[0], source) else done
        yield match, done


def attributes_of(tag: str) -> Iterator[tuple[str, re.Match[str]]]:
    """The attributes of a tag with values: names in lower case, and matches whose last group is the value."""
    for match in _ATTRIBUTE.finditer(tag):
        yield match["name"].lower(), match


def language_places(tag: str) -> Iterator[tuple[int, int]]:
    """Where a tag says in what language the text of its element is (`lang`, `xml:lang`)."""
    for name, match in attributes_of(tag):
        if name in ("lang", "xml:lang") and _LANGUAGE.fullmatch(match[match.lastgroup or ""]):
            yield match.span(match.lastgroup or "")


def stays(tag: str, source: str | None) -> bool:
    """Whether a tag says that its element isn't translated, or is in another language than the source's."""
    said = any(
        name in _UNTRANSLATED and _UNTRANSLATED[name].match(value[value.lastgroup or ""])
        for name, value in attributes_of(tag)
    )
    return said or (source is not None and is_foreign(tag, source))


def is_foreign(tag: str, source: str) -> bool:
    """Whether a tag says that its element is in another language."""
    start, end = next(language_places(tag), (0, 0))
    return start < end and match_language(tag[start:end], [source]) is None


def _end(text: str, matches: list[re.Match[str]], at: int) -> int:
    """Where the element ends that begins at a match."""
    open_ones: list[str] = []
    for match in (matches[place] for place in range(at, len(matches))):
        name = (match["name"] or "").lower()
        if not name or name in _NO_END or match[0].endswith("/>"):
            continue
        if match["close"]:
            if name not in open_ones:
                return match.start()  # the end of what the element is in
            while open_ones.pop() != name:
                pass
            if not open_ones:
                return match.end()
        else:
            if name in _IMPLIED and open_ones and open_ones[-1] == name:
                open_ones.pop()
                if not open_ones:
                    return match.start()
            open_ones.append(name)
    return len(text)


def _tag(match: re.Match[str], written: str, also_inline: Collection[str]) -> Tag | None:
    """An inline tag or element; None for one that ends a segment."""
    if match["opaque"]:
        return Tag(written, "single") if OPAQUE[match["opaque"].lower()] else None
    name = (match["name"] or "").lower()
    if name not in INLINE and name not in also_inline and not name.isdecimal():
        return None
    if name in VOID or written.endswith("/>") or written != match[0]:
        return Tag(written, "single", is_break=name in PARTING)
    return Tag(written, "close" if match["close"] else "open", name, nested=True)


def segment_of(piece: list[str | Tag], write: Callable[[str], str] = escape) -> Segment | None:
    """What is translated of a piece; None where it holds no text.

    Args:
        piece: text and inline tags.
        write: how text is written between tags.
    """
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
    write = keeping(write, "".join(part for part in piece if isinstance(part, str)), unescape)
    return Segment(before, inline, after, write, written_of(piece))


def written_of(piece: list[str | Tag]) -> str:
    """How a piece is written."""
    return "".join(part if isinstance(part, str) else part.written for part in piece)
