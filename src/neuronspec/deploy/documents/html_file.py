"""Web pages (`.html`): texts between tags as in `html_text`, and the attributes that people read.

html5lib and lxml build a tree and write it anew, with other quotes, entities and tags; neither says where texts stand.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator
from functools import partial
from html import unescape
from typing import BinaryIO
from xml.sax.saxutils import escape

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.checks import keeping
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.html_text import (
    START_TAG,
    attributes_of,
    elements_of,
    is_foreign,
    language_places,
    pieces_of,
    segment_of,
    stays,
    written_of,
)
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.spans import Rewriter, Span, Text, framed
from neuronspec.deploy.documents.xml_source import DECLARED
from neuronspec.deploy.translator import Translator

READ = ("alt", "aria-label", "placeholder", "title")
"""Attributes that people read."""

DESCRIPTIONS = ("description", "og:title", "og:description", "twitter:title", "twitter:description")
"""Names of `<meta>` whose content people read."""

_CHARSET = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([A-Za-z0-9._-]+)""", re.IGNORECASE)
_HEAD = 1024
"""Bytes in which a page says its charset, where its XML declaration doesn't."""

_DESCRIBES = re.compile(rf"""\s(?:name|property)\s*=\s*["']?(?:{"|".join(DESCRIPTIONS)})(?=["'\s/>])""", re.IGNORECASE)


def translate_page(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate a page: its texts, and the attributes that people read.

    `lang` attributes that name the source's language name the target's afterwards; everything else stays as it is
    written.

    Raises:
        CorpusError: the page is in another language, or not in the encoding that it says.
    """
    rewriter = Rewriter(translator, direction, source.name)
    stream.write(rewrite_page(rewriter, direction, source.name, source.stream.read()))
    rewriter.report()


def rewrite_page(rewriter: Rewriter, direction: Direction, name: str, raw: bytes) -> bytes:
    """A page with translations; see `translate_page`.

    Args:
        rewriter: translates and counts.
        direction: of the translation.
        name: of the page, for messages.
        raw: its bytes.
    """
    text = _read(name, raw)
    _check_language(text, direction)
    page = rewriter.rewritten(text.text, list(_attributes(text.text, direction.source)))
    page = rewriter.rewritten(page, list(_texts(page, direction.source)))
    page = _renamed(page, direction)
    return text.mark + page.encode(text.encoding, "xmlcharrefreplace")


def _read(name: str, raw: bytes) -> Text:
    declared = _CHARSET.search(raw[:_HEAD]) or DECLARED.match(raw)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    try:
        encoding = codecs.lookup(encoding).name
        encoding = "cp1252" if encoding in ("iso8859-1", "ascii") else encoding  # as browsers do
        readable = "<>\"'=/&;+".encode(encoding) == b"<>\"'=/&;+"
    except (LookupError, UnicodeError):
        readable = False
    if not readable:
        raise CorpusError(f"{name}:1: the encoding {encoding!r} isn't supported; convert the file to UTF-8")
    text = Text.of(name, raw, encoding)
    if text.encoded(text.text) != raw:
        raise CorpusError(f"{name}: its {encoding} can't be written as it is; convert it to UTF-8")
    return text


def _check_language(text: Text, direction: Direction) -> None:
    root = re.search(r"<html\b[^>]*>", text.text, re.IGNORECASE)
    if root and is_foreign(root[0], direction.source):
        start, end = next(language_places(root[0]))
        raise CorpusError(
            f"{text.name}:{text.line(root.start())}: the page says lang={root[0][start:end]}, and the translation is "
            f"from {direction.source}"
        )


def _texts(page: str, source: str) -> Iterator[Span]:
    """What is between tags."""
    start = 0
    for piece in pieces_of(page, source=source):
        end = start + len(written_of(piece))
        segment = segment_of(piece)
        if segment is not None:
            yield Span(start, end, segment)
        start = end


def _tags(page: str, source: str, *, also_opaque: bool = False) -> Iterator[re.Match[str]]:
    """The tags of what is translated; those without an end tag are elements of their own.

    Args:
        page: that they are in.
        source: its language.
        also_opaque: also the first tags of elements whose content stays (`<textarea>`, `<svg>`).
    """
    for match, end in elements_of(page, source):
        is_read = also_opaque and (match["opaque"] or "").lower() not in ("", "script", "style")
        tag = START_TAG.match(page, match.start()) if is_read else match
        if tag is not None and tag["name"] and end == match.end() and not stays(tag[0], source):
            yield tag


def _renamed(page: str, direction: Direction) -> str:
    """With the target's language where the source's is named."""
    pieces, at = [], 0
    for tag in _tags(page, direction.source):
        for start, end in language_places(tag[0]):
            pieces += [page[at : tag.start() + start], direction.target.replace("_", "-")]
            at = tag.start() + end
    return "".join([*pieces, page[at:]])


def _attributes(page: str, source: str) -> Iterator[Span]:
    """What people read of the attributes."""
    for tag in _tags(page, source, also_opaque=True):
        names: Collection[str] = READ
        if tag["name"].lower() == "meta":
            if not _DESCRIBES.search(tag[0]):
                continue
            names = ("content",)
        for name, found in attributes_of(tag[0]):
            kind = found.lastgroup or ""
            if name not in names or kind == "bare":
                continue
            start, end = (tag.start() + place for place in found.span(kind))
            quote = partial(escape, entities={'"': "&quot;"} if kind == "double" else {"'": "&#39;"})
            yield Span(start, end, framed([unescape(found[kind])], keeping(quote, found[kind], unescape)))


HTML = Format(translate_page, own_marks=True)
