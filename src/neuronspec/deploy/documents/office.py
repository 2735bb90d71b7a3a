"""Office Open XML (`.docx`, `.pptx`): paragraphs, with formatting and links around the words that they belong to.

python-docx and python-pptx write all parts anew, and know a paragraph as runs of letters with the same formatting, not
as sentences; so runs are put together here, and whatever is no text stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.archive import rewrite_members
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Rewriter, Span, framed, joined
from neuronspec.deploy.documents.xml_paragraphs import rewrite_paragraphs
from neuronspec.deploy.documents.xml_source import Document, Element, xml_text
from neuronspec.deploy.translator import Translator

_DOCX = re.compile(r"word/(?:document|header|footer|footnotes|endnotes)\d*\.xml")
_PPTX = re.compile(r"ppt/(?:slides|notesSlides)/[^/]+\.xml")

SECTIONS = {
    "ins", "moveTo", "sdt", "sdtContent", "smartTag", "customXml", "fldSimple", "dir", "bdo", "AlternateContent",
    "Choice", "Fallback",
}  # fmt: skip
"""Elements around runs whose text is by itself; also what is there twice, for newer programs and for older ones."""

MARKS = {"bookmarkStart", "bookmarkEnd", "commentRangeStart", "commentRangeEnd", "permStart", "permEnd"}
"""Elements between runs that stay at their place in the sentence."""

REFERENCES = {"footnoteReference", "endnoteReference", "commentReference"}
"""What stands within a sentence, in a run of its own."""

SILENT = {
    "proofErr",
    "lastRenderedPageBreak",
    "rPr",
    "pPr",
    "sdtPr",
    "sdtEndPr",
    "endParaRPr",
    "smartTagPr",
    "customXmlPr",
}
"""What isn't text; notes of the program itself aren't kept within a translation."""

HYPHENS = {"noBreakHyphen": "\u2011", "softHyphen": "\u00ad"}
"""Elements within a word, and the characters that they stand for."""

_UNSEEN = re.compile(r"<\w+:(?:lang|noProof)\b[^>]*/>|\s(?:lang|dirty|err|noProof)=\"[^\"]*\"")
"""Formatting that isn't seen."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a paragraph.

    Args:
        kind: text, something that stays in the sentence, the start or the end of a link, or what ends the sentence.
        element: the text's `t` (or what stands for a text), or what it is.
        run: that a text is in.
        is_first: whether nothing that is seen comes before it in its run.
        is_last: whether nothing that is seen follows it in its run.
    """

    kind: Literal["text", "mark", "open", "close", "break"]
    element: Element
    run: Element | None = None
    is_first: bool = True
    is_last: bool = True


def translate_docx(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the paragraphs of a text document, also in tables, headers, footers, notes and text boxes.

    A sentence ends at tabs, line breaks, fields and pictures. Comments, deleted text and properties stay. Readings
    above words (ruby) are left out.

    Raises:
        CorpusError: it isn't such a document, encrypted, or damaged.
    """
    _translate(translator, direction, source, stream, _DOCX)


def translate_pptx(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the paragraphs of slides and their notes; see `translate_docx`."""
    _translate(translator, direction, source, stream, _PPTX)


def _translate(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, parts: re.Pattern[str]
) -> None:
    rewriter = Rewriter(translator, direction, source.name)

    def rewrite(name: str, raw: bytes) -> bytes:
        return rewrite_paragraphs(rewriter, name, raw, {"p"}, {"del", "moveFrom"}, _spans)

    rewrite_members(source, stream, lambda name: parts.fullmatch(name) is not None, rewrite)
    rewriter.report()


def _spans(document: Document, paragraph: Element) -> Iterator[Span]:
    segment: list[_Piece] = []
    for piece in [*_pieces(paragraph), _Piece("break", paragraph)]:
        if piece.kind != "break":
            segment.append(piece)
            continue
        trimmed = _trimmed(segment)
        if trimmed:
            yield _span(document, trimmed)
        segment = []


def _pieces(element: Element) -> Iterator[_Piece]:
    for child in element.children:
        if child.name in SILENT:
            continue
        if child.name == "r":
            yield from _pieces_of_run(child)
        elif child.name == "hyperlink" or child.name in SECTIONS:
            inner = list(_pieces(child))
            is_link = child.name == "hyperlink" and all(piece.kind != "break" for piece in inner)
            yield _Piece("open" if is_link else "break", child)
            yield from inner
            yield _Piece("close" if is_link else "break", child)
        else:
            yield _Piece("mark" if child.name in MARKS else "break", child)


def _pieces_of_run(run: Element) -> Iterator[_Piece]:
    seen = [child for child in run.children if child.name not in SILENT]
    if len(seen) == 1 and seen[0].name in REFERENCES:
        yield _Piece("mark", run)
        return
    for child in seen:
        kind: Literal["text", "break"] = "break" if _text_of(child) is None else "text"
        yield _Piece(kind, child, run, child is seen[0], child is seen[-1])


def _text_of(element: Element) -> str | None:
    """The text of an element in a run: of ruby what the reading is above; None where it isn't text alone."""
    if element.name == "t":
        return element.text
    if element.name != "ruby":
        return HYPHENS.get(element.name)
    base = element.child("rubyBase")
    inside = [child for run in (base.children if base is not None else ()) for child in run.children]
    texts = [_text_of(child) for child in inside if child.name not in SILENT]
    return "".join(filter(None, texts)) if None not in texts else None


def _trimmed(segment: Sequence[_Piece]) -> list[_Piece]:
    """Without what is around the text."""
    pieces = list(segment)
    while pieces:
        whole = pieces[0].kind == "open" and pieces[-1].element is pieces[0].element
        if whole:
            pieces = pieces[1:-1]
        elif pieces[0].kind == "mark":
            pieces.pop(0)
        elif pieces[-1].kind == "mark":
            pieces.pop()
        else:
            break
    return pieces if any(piece.kind == "text" for piece in pieces) else []


@dataclass(frozen=True, slots=True)
class _Style:
    """How runs of a formatting are written.

    Args:
        key: the same for formatting that looks the same.
        opening: what comes before the text of a run.
        closing: what comes after it.
    """

    key: str
    opening: str
    closing: str


def _style(document: Document, run: Element) -> _Style:
    tag = document.written(run.start, run.inside)
    prefix = tag[1 : tag.index(":") + 1] if re.match(r"<\w+:", tag) else ""
    properties = run.child("rPr")
    written = document.written(properties.start, properties.end) if properties is not None else ""
    key = re.sub(r"<[^<>]*rPr[^<>]*></[^<>]*>|<[^<>]*rPr\s*/>", "", _UNSEEN.sub("", written))
    space = ' xml:space="preserve"' if "wordprocessingml" in run.namespace else ""
    return _Style(key, f"{tag}{written}<{prefix}t{space}>", f"</{prefix}t></{prefix}r>")


def _base(document: Document, pieces: Sequence[_Piece]) -> Element:
    """The run whose formatting most of the text has, outside of links if there is any."""
    lengths: dict[str, int] = {}
    runs: dict[str, Element] = {}
    depth = 0
    for piece in pieces:
        depth += (piece.kind == "open") - (piece.kind == "close")
        if piece.run is not None and piece.kind == "text":
            key = _style(document, piece.run).key
            runs.setdefault(key, piece.run)
            lengths[key] = lengths.get(key, 0) + len(_text_of(piece.element) or "") * (1 if depth else 1000)
    return runs[max(lengths, key=lambda key: lengths[key])]


def _span(document: Document, pieces: list[_Piece]) -> Span:
    base = _style(document, _base(document, pieces))
    styles: set[_Style] = {base}
    inline = list(_inline(document, pieces, base, styles))
    first, last = pieces[0], pieces[-1]
    start, prefix = first.element.start, ""
    if first.run is not None:
        start, prefix = (
            (first.run.start, "") if first.is_first else (start, base.closing[base.closing.index("><") + 1 :])
        )
    end, suffix = last.element.end, ""
    if last.run is not None:
        after = _style(document, last.run).opening
        end, suffix = (last.run.end, "") if last.is_last else (end, after[: after.rindex("<")])

    def write(content: str) -> str:
        content = f"{base.opening}{content}{base.closing}"
        for style in styles:
            content = content.replace(style.opening + style.closing, "")
        return prefix + content + suffix

    return Span(start, end, framed(inline, xml_text), write)


def _inline(document: Document, pieces: Sequence[_Piece], base: _Style, styles: set[_Style]) -> Iterator[str | Tag]:
    """Text and markup: what changes from the formatting of the sentence and back."""

    def pair(name: str, style: _Style, opening: str = "", closing: str = "") -> tuple[Tag, Tag]:
        styles.add(style)
        return (
            Tag(f"{base.closing}{opening}{style.opening}", "open", name, nested=True),
            Tag(f"{style.closing}{closing}{base.opening}", "close", name, nested=True),
        )

    at = 0
    while at < len(pieces):
        piece = pieces[at]
        end = at + 1
        if piece.kind == "open":
            link = piece.element
            while pieces[end].element is not link:
                end += 1
            inside = pieces[at + 1 : end]
            end += 1
            if any(each.kind == "text" for each in inside):
                style = _style(document, _base(document, inside))
                tags = document.written(link.start, link.inside), document.written(link.close, link.end)
                opening, closing = pair(str(link.start), style, *tags)
                yield opening
                yield from _inline(document, inside, style, styles)
                yield closing
            else:
                yield Tag(f"{base.closing}{document.written(link.start, link.end)}{base.opening}", "single")
        elif piece.kind == "mark":
            written = document.written(piece.element.start, piece.element.end)
            yield Tag(f"{base.closing}{written}{base.opening}", "single")
        elif piece.run is not None:
            style = _style(document, piece.run)
            while end < len(pieces) and _has_style(document, pieces[end], style):
                end += 1
            text = joined("".join(_text_of(each.element) or "" for each in pieces[at:end]))
            if style.key == base.key:
                yield text
            else:
                opening, closing = pair(str(piece.run.start), style)
                yield from (opening, text, closing)
        at = end


def _has_style(document: Document, piece: _Piece, style: _Style) -> bool:
    return piece.kind == "text" and piece.run is not None and _style(document, piece.run).key == style.key


DOCX = Format(translate_docx, own_marks=True)
PPTX = Format(translate_pptx, own_marks=True)
