"""Texts of programs in XML: Android's `strings.xml`, .NET's `.resx`; translated where they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.html_text import BLOCKS, PARTING
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Rewriter, Span, paired
from neuronspec.deploy.documents.xml_inline import Segment
from neuronspec.deploy.documents.xml_source import Document, Element, runs_of, xml_text
from neuronspec.deploy.translator import Translator

PLACEHOLDER = "urn:oasis:names:tc:xliff:document:1.2"
"""The namespace of `<xliff:g>`, whose content stays."""

BREAKS = BLOCKS | {"br", "hr"}
"""Elements that end a sentence, at any depth."""

Spans = Callable[[Document, Element], Iterable[Span]]

_CDATA = re.compile(r"<!\[CDATA\[((?:(?!\]\]>).)*)\]\]>", re.DOTALL)
_LOST = re.compile(r"<!--|<\?")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)|\"|\s+", re.DOTALL)
_BLANK = r"(?:\s|\\[nt]|\\u(?:0020|00[aA]0))*"
_BEFORE = re.compile(rf"{_BLANK}(?:\"{_BLANK})?")
_AFTER = re.compile(r"(?<!\\)(?:\\\\)*(\s|\\[nt]|\\u(?:0020|00[aA]0)|\")\Z")
_MARK = re.compile(r"(?P<tag></?[A-Za-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>)|\\.", re.DOTALL)

_LONGEST = 16
"""Characters before the end in which one of those is found, with backslashes before it."""

_REFERENCE = re.compile(r"\s*[@?](?:[\w.]+:)?[\w.]+/[\w.]+\s*")
"""A string that is that of another resource, `@string/name`."""


def translate_android(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the strings, arrays and plurals of Android's resources.

    Those marked `translatable="false"` stay, and references to other resources. Markup (`<b>`) goes around the words
    that belong to those it had inside; `<xliff:g>` stays with its content. Quantities of plurals that the target needs
    in addition aren't added.

    Raises:
        CorpusError: it isn't XML, or its root isn't `resources`.
    """
    document = _document(source, "resources", "resources of Android")
    strings = (each for each in _strings(document.root) if each.inherited("translatable") != "false")
    _rewrite(translator, direction, document, strings, _android_spans, stream)


def translate_resx(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the strings of .NET resources; entries with a type, comments and the schema stay.

    Raises:
        CorpusError: it isn't XML, or its root isn't `root`.
    """
    document = _document(source, "root", "resources of .NET")
    strings = (
        value
        for data in document.root.iter("data")
        if not {"type", "mimetype"} & data.attributes.keys() and not data.attributes.get("name", "").startswith(">>")
        if (value := data.child("value")) is not None
    )
    _rewrite(translator, direction, document, strings, _resx_spans, stream)


def _document(source: Source, root: str, what: str) -> Document:
    document = Document(source.name, source.stream.read())
    if document.root.name != root:
        raise CorpusError(f"{source.name}:{document.root.line}: not {what}: the root is <{document.root.name}>")
    return document


def _rewrite(
    translator: Translator,
    direction: Direction,
    document: Document,
    strings: Iterator[Element],
    spans_of: Spans,
    stream: BinaryIO,
) -> None:
    rewriter = Rewriter(translator, direction, document.name)
    spans = []
    for element in strings:
        if not element.text.strip():
            continue
        written = document.written(element.inside, element.close)
        if not element.whole:
            rewriter.leave(element.line, "it has an entity that the file doesn't define")
        elif _LOST.search(_CDATA.sub("", written)):
            rewriter.leave(element.line, "it has a comment inside, or an instruction to a program")
        else:
            try:
                spans += list(spans_of(document, element))
            except ValueError as problem:
                rewriter.leave(element.line, str(problem))
    edits = rewriter.edits(
        spans, lambda span: document.written(span.start, span.end), lambda span: document.line(span.start)
    )
    for start, end, text in edits:
        document.replace(start, end, text.replace("\n", document.line_end))
    stream.write(document.encoded())
    rewriter.report()


def _strings(root: Element) -> Iterator[Element]:
    for element in root.children:
        if element.name == "string":
            yield element
        elif element.name in ("string-array", "plurals"):
            yield from element.iter("item")


def _android_spans(document: Document, element: Element) -> Iterator[Span]:
    """The text of a string, or with markup what is between breaks and in each line."""
    written, start = document.written(element.inside, element.close), element.inside
    if _REFERENCE.fullmatch(written):
        return
    cdata = _CDATA.fullmatch(written.strip())
    if cdata:
        start += len(written[: written.index("[CDATA[") + 7].encode())
        written = cdata[1]
    before, _, after = _parted(written)
    quoted = '"' in before and '"' in after
    escaped = partial(_android_escaped, is_quoted=quoted, write=document.literal if cdata else xml_text)
    if cdata:
        yield from _android_lines(start, written, [_android_plain(written)], escaped, is_first=True)
        return
    for start, end, run in runs_of(element, _parts):
        inline = list(_android_inline(document, run, is_quoted=quoted))
        is_first = start == element.inside
        yield from _android_lines(start, document.written(start, end), inline, escaped, is_first=is_first)


def _android_lines(
    start: int, written: str, inline: list[str | Tag], escaped: Callable[[str], str], *, is_first: bool
) -> Iterator[Span]:
    """What stands between two breaks; the lines of it, where it has markup."""
    lines, places = [inline], [0, len(written)]
    if any(isinstance(piece, Tag) for piece in inline):
        lines, places = _inline_lines(inline), _line_places(written)
        if len(places) != len(lines) + 1:
            raise ValueError("it has markup over several lines")
    for line, begin, end in zip(lines, places, places[1:], strict=False):
        before, text, _ = _parted(written[begin:end])
        first = start + len((written[:begin] + before).encode())
        line[0] = line[0].lstrip() if isinstance(line[0], str) else line[0]
        line[-1] = line[-1].rstrip() if isinstance(line[-1], str) else line[-1]
        begins = is_first and not begin and not before.strip()
        write = partial(_no_reference, escaped) if begins else escaped
        last = first + len(text.encode())
        if len(line) == 1 and isinstance(line[0], str):
            yield Span(first, last, line[0], write)
        else:
            yield Span(first, last, Segment("", line, "", escaped), partial(_no_reference, str) if is_first else str)


def _no_reference(write: Callable[[str], str], text: str) -> str:
    return ("\\" if text.startswith(("@", "?")) else "") + write(text)


def _inline_lines(inline: list[str | Tag]) -> list[list[str | Tag]]:
    """What is between line breaks."""
    lines: list[list[str | Tag]] = [[]]
    for piece in inline:
        parts: list[str | Tag] = [piece] if isinstance(piece, Tag) else list(piece.split("\n"))
        lines[-1].append(parts[0])
        lines += [[part] for part in parts[1:]]
    return lines


def _line_places(written: str) -> list[int]:
    """Where the lines of a string begin and end, at line breaks outside of elements."""
    places, depth = [0], 0
    for match in _MARK.finditer(written):
        if match["tag"] and not match[0].endswith("/>"):
            depth += -1 if match[0].startswith("</") else 1
        elif match[0] == r"\n" and depth == 0:
            places.append(match.end())
    return [*places, len(written)]


def _parted(written: str) -> tuple[str, str, str]:
    """A string without the white space and the quotes around it, and those."""
    before = _BEFORE.match(written)
    start = before.end() if before else 0
    end = len(written)
    while end > start and (last := _AFTER.search(written, max(start, end - _LONGEST), end)):
        end = last.start(1)
    return written[:start], written[start:end], written[end:]


def _parts(part: Element) -> bool:
    """Whether an element is a break, or has one inside."""
    return (part.namespace, part.name) != (PLACEHOLDER, "g") and (
        part.name in BREAKS or any(map(_parts, part.children))
    )


def _android_inline(document: Document, parts: list[str | Element], *, is_quoted: bool) -> Iterator[str | Tag]:
    """Text and markup; texts that follow one another are one."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        yield _android_plain(text, is_quoted=is_quoted)
        text = ""
        if part.close == part.end or (part.namespace, part.name) == (PLACEHOLDER, "g"):
            yield Tag(document.written(part.start, part.end), "single", is_break=part.name in PARTING)
        else:
            yield Tag(document.written(part.start, part.inside), "open", str(part.start), nested=True)
            yield from _android_inline(document, part.content, is_quoted=is_quoted)
            yield Tag(document.written(part.close, part.end), "close", str(part.start), nested=True)
    yield _android_plain(text, is_quoted=is_quoted)


def _android_plain(text: str, *, is_quoted: bool = False) -> str:
    """What a string shows: without escapes and quotes, and with white space only where it is quoted."""

    def shown(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2]:
            return {"n": "\n", "t": "\t"}.get(match[2], match[2])
        return "" if match[0] == '"' else match[0] if is_quoted else " "

    return paired(_ESCAPE.sub(shown, text))


def _android_escaped(text: str, *, is_quoted: bool, write: Callable[[str], str]) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t").replace('"', r"\"")
    text = text if is_quoted else text.replace("'", r"\'")
    return write(text)


def _resx_spans(document: Document, element: Element) -> Iterator[Span]:
    if element.children:
        raise ValueError("it has elements inside")
    written = document.written(element.inside, element.close)
    cdata = _CDATA.fullmatch(written)
    if cdata:
        start = element.inside + len("<![CDATA[")
        yield Span(start, start + len(cdata[1].encode()), element.text, document.literal)
    else:
        yield Span(element.inside, element.close, element.text, xml_text)


ANDROID = Format(translate_android, own_marks=True)
RESX = Format(translate_resx, own_marks=True)
