"""XML as it is written: elements with their places in the text, and edits that leave all else as it is."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from neuronspec.core.errors import CorpusError

XML = "http://www.w3.org/XML/1998/namespace"
_SEPARATOR = " "
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ASCII = "".join(map(chr, range(0x20, 0x7F))) + ".."
_ATTRIBUTE = re.compile(rb"""\s([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_TAG_END = re.compile(rb"""(?:[^>"']|"[^"]*"|'[^']*')*>""")


@dataclass(slots=True, eq=False)
class Element:
    """An element. Places are bytes of the document in UTF-8.

    Args:
        namespace: its name, empty without one.
        name: without prefix.
        attributes: by name; those with a namespace by `NAMESPACE name`.
        parent: None for the root.
        line: where it begins, from 1.
        start: of its start tag.
        inside: after its start tag.
        close: of its end tag; as `end` where it is one empty-element tag.
        end: after it.
        whole: whether its text is all there: no entity was left out, and none brought elements in.
        content: the text and the elements in it, in order.
    """

    namespace: str
    name: str
    attributes: dict[str, str]
    parent: Element | None
    line: int
    start: int
    inside: int
    close: int = 0
    end: int = 0
    whole: bool = True
    content: list[str | Element] = field(default_factory=list)

    @property
    def children(self) -> list[Element]:
        """The elements in it."""
        return [part for part in self.content if isinstance(part, Element)]

    @property
    def text(self) -> str:
        """Its own text, with that of the elements in it."""
        return "".join(part if isinstance(part, str) else part.text for part in self.content)

    def child(self, name: str) -> Element | None:
        """The first element of a name in it, of its own namespace."""
        return next((one for one in self.children if (one.namespace, one.name) == (self.namespace, name)), None)

    def iter(self, name: str) -> Iterator[Element]:
        """All elements of a name below it, of its own namespace, in the order of the document."""
        for one in self.children:
            if (one.namespace, one.name) == (self.namespace, name):
                yield one
            yield from one.iter(name)

    def inherited(self, attribute: str) -> str | None:
        """An attribute of the element or of the nearest element around it that has it."""
        element: Element | None = self
        while element is not None:
            if attribute in element.attributes:
                return element.attributes[attribute]
            element = element.parent
        return None

    @property
    def keeps_space(self) -> bool:
        """Whether white space in it is part of the text (`xml:space="preserve"`)."""
        return self.inherited(f"{XML} space") == "preserve"


def runs_of(element: Element, parts: Callable[[Element], bool]) -> Iterator[tuple[int, int, list[str | Element]]]:
    """What is between breaks: where it begins and ends, and its text and elements.

    An element that has a break inside ends what is before it, too, so that each run has whole elements only.

    Args:
        element: has the text.
        parts: whether an element is a break, or has one inside.
    """
    start, run = element.inside, list[str | Element]()
    for part in element.content:
        if isinstance(part, str) or not parts(part):
            run.append(part)
            continue
        yield start, part.start, run
        if part.close < part.end:
            yield from runs_of(part, parts)
        start, run = part.end, []
    yield start, element.close, run


class Document:
    """An XML document that is edited where it is written.

    Args:
        name: of the file, for messages.
        raw: its bytes.

    Raises:
        CorpusError: it isn't well-formed XML, or its encoding isn't known.
    """

    def __init__(self, name: str, raw: bytes) -> None:
        self.name = name
        self._bom, self._encoding = _encoding(name, raw)
        try:
            text = raw[len(self._bom) :].decode(self._encoding)
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise CorpusError(f"{name}:{line}: not valid {self._encoding}, which the file says it is in") from None
        self._text = text.encode()
        if self._encoded(self._text) != raw:
            raise CorpusError(f"{name}: its {self._encoding} can't be written as it is; convert it to UTF-8")
        self._edits: list[tuple[int, int, bytes]] = []
        self.line_end = "\r\n" if b"\r\n" in self._text else "\n"
        self.root = _parse(name, self._text)

    def written(self, start: int, end: int) -> str:
        """What stands between two places."""
        return self._text[start:end].decode()

    def line(self, place: int) -> int:
        """The number of the line in which a place is, from 1."""
        return self._text.count(b"\n", 0, place) + 1

    def replace(self, start: int, end: int, text: str) -> None:
        """Write something else between two places; edits must not overlap."""
        self._edits.append((start, end, text.encode()))

    def set_attribute(self, element: Element, name: str, value: str) -> None:
        """Give an element an attribute without a namespace; the others stay as they are written."""
        tag = self._text[element.start : element.inside]
        quoted = escape(value, {'"': "&quot;"})
        found = next((each for each in _ATTRIBUTE.finditer(tag) if each[1] == name.encode()), None)
        if found:
            self.replace(element.start + found.start(2), element.start + found.end(2), f'"{quoted}"')
            return
        end = re.search(rb"\s*/?>$", tag)
        assert end is not None, "a tag has an end"
        place = element.start + end.start()
        self.replace(place, place, f' {name}="{quoted}"')

    def remove_attribute(self, element: Element, name: str) -> None:
        """Take an attribute without a namespace out of an element's tag, with the white space before it."""
        tag = self._text[element.start : element.inside]
        for found in _ATTRIBUTE.finditer(tag):
            if found[1] == name.encode():
                self.replace(element.start + found.start(), element.start + found.end(), "")

    def fill(self, element: Element, content: str) -> None:
        """Write markup as the content of an element."""
        if element.close < element.end:
            self.replace(element.inside, element.close, content)
            return
        tag = self._text[element.start : element.inside]
        slash = element.start + tag.rindex(b"/")
        name = re.match(rb"<([^\s/>]+)", tag)
        assert name is not None, "a tag has a name"
        self.replace(slash, element.end, f">{content}</{name[1].decode()}>")

    def insert_after(self, element: Element, name: str, attributes: dict[str, str], content: str) -> None:
        """Write an element after another, with its prefix and indented like it."""
        self.replace(element.end, element.end, self.indent(element) + self.tagged(element, name, attributes, content))

    def tagged(self, like: Element, name: str, attributes: dict[str, str], content: str) -> str:
        """An element as text, with the prefix of another."""
        prefix = re.match(rb"<([^\s/>:]+:)?", self._text[like.start : like.inside])
        assert prefix is not None, "a tag begins with <"
        full = (prefix[1] or b"").decode() + name
        given = "".join(f' {key}="{escape(value, {chr(34): "&quot;"})}"' for key, value in attributes.items())
        return f"<{full}{given}>{content}</{full}>"

    def literal(self, text: str) -> str:
        """Text as it is in CDATA, where nothing can stand for other characters.

        Raises:
            ValueError: it would end there, or the document's encoding lacks a character.
        """
        if "]]>" in text:
            raise ValueError("the translation has ]]>, which ends CDATA")
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError as error:
            lacking = text[error.start]
            raise ValueError(f"CDATA in {self._encoding} can't have {lacking!r}; convert the file to UTF-8") from None
        return text

    def indent(self, element: Element) -> str:
        """The white space before an element, from the end of the tag before it; empty if there is text."""
        before = self._text[self._text.rfind(b">", 0, element.start) + 1 : element.start]
        return "" if before.strip() else before.decode()

    def encoded(self) -> bytes:
        """The document with its edits; characters that its encoding hasn't are written as references."""
        pieces, at = [], 0
        for start, end, text in sorted(self._edits, key=lambda edit: edit[:2]):
            pieces += [self._text[at:start], _referenced(text, self._encoding)]
            at = end
        return self._encoded(b"".join([*pieces, self._text[at:]]))

    def _encoded(self, text: bytes) -> bytes:
        return self._bom + text.decode().encode(self._encoding)


def xml_text(text: str) -> str:
    """Text as it is written in XML; a carriage return is a reference, as XML reads a bare one as a line end."""
    return escape(text, {"\r": "&#13;"})


def _referenced(text: bytes, encoding: str) -> bytes:
    return text.decode().encode(encoding, "xmlcharrefreplace").decode(encoding).encode()


def _encoding(name: str, raw: bytes) -> tuple[bytes, str]:
    """The byte order mark and the encoding."""
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return bom, encoding
    for start, encoding in ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be")):
        if raw.startswith(start):
            return b"", encoding
    declared = DECLARED.match(raw)
    if declared is None:
        return b"", "utf-8"
    encoding = declared[1].decode()
    try:
        ascii_stays = _ASCII.encode(encoding) == _ASCII.encode()
    except (LookupError, UnicodeError, ValueError):
        ascii_stays = False
    if not ascii_stays:
        raise CorpusError(f"{name}:1: the encoding {encoding!r} isn't supported; convert the file to UTF-8")
    return b"", encoding


def _parse(name: str, text: bytes) -> Element:
    """The root of a document, whose text is UTF-8 whatever its declaration says."""
    parser: Any = expat.ParserCreate("utf-8", namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    builder = _Builder(parser, text)
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler, parser.SkippedEntityHandler = builder.characters, builder.skipped
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise CorpusError(f"{name}:{error.lineno}: not XML: {expat.errors.messages[error.code]}") from None
    assert builder.root is not None, "a document has a root"
    return builder.root


class _Builder:
    """Makes elements of what the parser reports."""

    def __init__(self, parser: Any, text: bytes) -> None:
        self._parser, self._text = parser, text
        self._open: list[Element] = []
        self.root: Element | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        place = self._parser.CurrentByteIndex
        tag = _TAG_END.match(self._text, place)
        written = self._text[place : place + 1] == b"<" and tag is not None
        *namespace, own = name.split(_SEPARATOR)
        parent = self._open[-1] if self._open else None
        inside = tag.end() if tag is not None and written else place
        element = Element(
            "".join(namespace), own, attributes, parent, self._parser.CurrentLineNumber, place, inside, whole=written
        )
        if parent is None:
            self.root = element
        else:
            parent.content.append(element)
        self._open.append(element)

    def end(self, name: str) -> None:
        element = self._open.pop()
        place = self._parser.CurrentByteIndex
        if self._text[element.inside - 2 : element.inside] == b"/>":
            element.close = element.end = element.inside
        else:
            tag = _TAG_END.match(self._text, place)
            element.close, element.end = place, tag.end() if tag else place
        if self._open:
            self._open[-1].whole &= element.whole

    def characters(self, text: str) -> None:
        self._open[-1].content.append(text)

    def skipped(self, name: str, is_parameter: bool) -> None:
        if self._open:
            self._open[-1].whole = False
