"""Translation units of XML files (TMX, XLIFF), one by one: no entities, no other files, in bounded memory."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from neuronspec.core.errors import CorpusError

LONGEST_UNIT = 2**22
"""Bytes of a unit at most, and of a tag or comment outside of units."""

MADE_HERE = "neuronspec"
"""The `creationid` of TMX variants that a model made; they are no person's."""

_CHUNK = 2**16
_DEEPEST = 100
_FORMATTING = ("bpt", "ept")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a file.

    Args:
        element: with all in it; tags have the prefixes that they are written with.
        around: the attributes of the elements around it, the inner ones first.
        line: where it begins, from 1.
    """

    element: Element
    around: Mapping[str, str]
    line: int


def read_units(name: str, file: IO[bytes], root: str, units: Collection[str]) -> Iterator[Unit]:
    """The units of a file, each dropped when the next is asked for.

    Args:
        name: of the file, for messages.
        file: its bytes.
        root: the name of its root.
        units: the names of the elements that are units; they aren't nested.

    Raises:
        CorpusError: it isn't XML with this root, its encoding isn't known, it declares or needs entities, or a unit is
            longer than `LONGEST_UNIT`.
    """
    parser = _Parser(name, root, units)
    try:
        for chunk in iter(partial(file.read, _CHUNK), b""):
            yield from parser.units_of(chunk)
        yield from parser.units_of(b"", is_last=True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise CorpusError(f"{name}:{error.lineno}: not XML: {reason}; repair or export it again") from None
    except (LookupError, ValueError) as error:
        raise CorpusError(f"{name}:1: its encoding can't be read: {error}; convert it to UTF-8") from None


class _Parser:
    """Feeds expat, which hands the elements of a unit to a builder of elements; what is around them isn't kept."""

    def __init__(self, name: str, root: str, units: Collection[str]) -> None:
        self._name, self._root, self._units = name, root, units
        self._around: list[ChainMap[str, str]] = []
        self._builder = TreeBuilder()
        self._open: Element | None = None
        self._line = self._start = self._fed = 0
        self._ready: list[Unit] = []
        self._expat: Any = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.EntityDeclHandler, self._expat.SkippedEntityHandler = self._declared, self._skipped
        self._outside()

    def units_of(self, chunk: bytes, *, is_last: bool = False) -> list[Unit]:
        """The units that end in a part of the file."""
        self._ready = []
        self._expat.Parse(chunk, is_last)
        self._fed += len(chunk)
        begun = self._expat.CurrentByteIndex if self._open is None else self._start
        if self._fed - begun > LONGEST_UNIT:
            line = self._expat.CurrentLineNumber if self._open is None else self._line
            raise CorpusError(
                f"{self._name}:{line}: a unit, tag or comment of more than {LONGEST_UNIT // 2**20} MiB, so this is no "
                "file of sentences and their translations"
            )
        return self._ready

    def _outside(self) -> None:
        self._expat.StartElementHandler, self._expat.EndElementHandler = self._started, self._ended
        self._expat.CharacterDataHandler = None

    def _started(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._around and local(tag) != self._root:
            raise CorpusError(f"{self._name}:1: not {self._root.upper()}: its root is {local(tag)!r}")
        if local(tag) not in self._units:
            if len(self._around) == _DEEPEST:
                raise CorpusError(f"{self._name}:{self._expat.CurrentLineNumber}: nested too deeply")
            self._around.append(ChainMap(attributes, *self._around[-1].maps) if self._around else ChainMap(attributes))
            return
        self._line, self._start = self._expat.CurrentLineNumber, self._expat.CurrentByteIndex
        self._builder = TreeBuilder()
        self._open = self._builder.start(tag, attributes)
        self._expat.StartElementHandler, self._expat.EndElementHandler = self._builder.start, self._ended_inside
        self._expat.CharacterDataHandler = self._builder.data

    def _ended(self, tag: str) -> None:
        self._around.pop()

    def _ended_inside(self, tag: str) -> None:
        if self._builder.end(tag) is self._open and self._open is not None:
            self._ready.append(Unit(self._open, self._around[-1] if self._around else {}, self._line))
            self._open = None
            self._outside()

    def _declared(self, entity: str, *_: Any) -> None:
        raise CorpusError(
            f"{self._name}:{self._expat.CurrentLineNumber}: declares the entity {entity!r}, and entities aren't read; "
            "write what it stands for, and remove the declaration"
        )

    def _skipped(self, entity: str, is_parameter: bool) -> None:
        if not is_parameter:
            raise CorpusError(
                f"{self._name}:{self._expat.CurrentLineNumber}: &{entity}; isn't defined in the file; write the "
                "character itself"
            )


def local(tag: str) -> str:
    """A name without its prefix."""
    return tag.rpartition(":")[2]


def language_of(element: Element) -> str:
    """The language that an element names (`xml:lang`; `lang` in old TMX); empty if it doesn't."""
    return element.get("xml:lang") or element.get("lang") or ""


def text_of(segment: Element) -> str | None:
    """The text of a segment without formatting; None where markup stands for something in the text."""
    if not len(segment):
        return segment.text or ""
    for one in list(segment.iter())[1:]:
        name, after = local(one.tag), one.tail
        if name in _FORMATTING:
            one.clear()  # it holds the code of the original document
            one.tail = after
        elif name not in ("hi", "sub"):  # sub is within one of the others
            return None
    return "".join(segment.itertext())
