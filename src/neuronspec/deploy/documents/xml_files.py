"""Translators' XML, edited in place: XLIFF 1.2 and 2, TMX. Empty targets are filled, with the markup of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import match_language
from neuronspec.corpus.readers.xml_units import MADE_HERE
from neuronspec.deploy.documents.assisted import is_agreed
from neuronspec.deploy.documents.checks import log_problems
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.xml_inline import Segment, translated
from neuronspec.deploy.documents.xml_source import XML, Document, Element
from neuronspec.deploy.translator import Translator

XLIFF_1, XLIFF_2 = "urn:oasis:names:tc:xliff:document:1.2", "urn:oasis:names:tc:xliff:document:2.0"
FILLED_1 = {"state": "needs-review-translation"}
FILLED_2 = {"state": "translated"}
REUSED_1 = {"state": "translated", "state-qualifier": "exact-match"}
REUSED_2 = {"state": "translated", "subState": "neuronspec:exact-match"}
"""Attributes of what is filled here: by a model, or from a translation memory in which it has one translation."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What can be filled.

    Args:
        sources: the elements whose texts are translated, one for each segment.
        put: writes their translations, as markup, into the document; with whether they are all from a memory.
    """

    sources: list[Element]
    put: Callable[[list[str], bool], None]


def translate_xliff(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Fill the units of an XLIFF file that have no target; every other byte stays.

    They get the state `needs-review-translation` in 1.2, `translated` in 2.0 and 2.1, and the file its target language
    where it names none; what a translation memory has in one way only gets the state `translated` and is qualified as
    an exact match. A unit of 1.2 that was segmented (`seg-source`) is filled segment by segment. Units marked
    `translate="no"`, and those with a target, stay. Inline markup goes around the words that belong to those it had
    inside (`neuronspec.deploy.documents.markup`). Units
    whose markup can't be placed, or whose translation lost a placeholder, stay and are listed.

    Raises:
        CorpusError: not XML, not XLIFF 1.2, 2.0 or 2.1, or for another pair of languages.
    """
    document = Document(source.name, source.stream.read())
    root = document.root
    if root.name != "xliff" or root.namespace not in (XLIFF_1, XLIFF_2):
        version = f" {root.attributes['version']}" if root.name == "xliff" and "version" in root.attributes else ""
        found = f"{root.name}{version} of the namespace {root.namespace or 'none'!r}"
        raise CorpusError(
            f"{source.name}:{root.line}: not XLIFF 1.2, 2.0 or 2.1, which are supported: its root is {found}"
        )
    units = list((_units_1 if root.namespace == XLIFF_1 else _units_2)(document, direction))
    _translate(translator, direction, document, units)
    stream.write(document.encoded())


def translate_tmx(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add a variant in the target language to the units of a translation memory that have none; every other byte stays.

    Raises:
        CorpusError: not XML, or not TMX.
    """
    document = Document(source.name, source.stream.read())
    if document.root.name != "tmx":
        raise CorpusError(f"{source.name}: not TMX: its root is {document.root.name!r}")
    _translate(translator, direction, document, list(_units_of_memory(document, direction)))
    stream.write(document.encoded())


def _units_1(document: Document, direction: Direction) -> Iterator[Unit]:
    """The units of XLIFF 1.2 to fill; names the target language of files in which there are some."""
    for file in document.root.iter("file"):
        _check_languages(document, file, direction, "source-language", "target-language")
        units = [
            unit
            for element in file.iter("trans-unit")
            if element.inherited("translate") != "no" and (unit := _unit_1(document, element)) is not None
        ]
        yield from units
        if units and "target-language" not in file.attributes:
            document.set_attribute(file, "target-language", _tag(direction.target))


def _unit_1(document: Document, element: Element) -> Unit | None:
    """What of a `trans-unit` is to be filled; None if nothing is."""
    source, segmented, target = (element.child(name) for name in ("source", "seg-source", "target"))
    if source is None:
        return None
    segments = [one for one in segmented.iter("mrk") if one.attributes.get("mtype") == "seg"] if segmented else []
    if not segments:
        if not _empty(target):
            return None
        return Unit(
            [source], lambda found, reused: _set_target(document, segmented or source, target, found[0], reused)
        )
    assert segmented is not None, "it has segments"
    if _empty(target):
        return Unit(
            segments,
            lambda found, reused: _set_target(
                document, segmented, target, _exchanged(document, segmented, segments, found), reused
            ),
        )
    assert target is not None, "it isn't empty"
    open_ones = {one.attributes.get("mid"): one for one in target.iter("mrk") if _empty(one)}
    wanted = [one for one in segments if one.attributes.get("mid") in open_ones]

    def put(found: list[str], reused: bool) -> None:
        for one, text in zip(wanted, found, strict=True):
            document.fill(open_ones[one.attributes.get("mid")], text)
        _set_attributes(document, target, FILLED_1)  # with segments that were there before

    return Unit(wanted, put) if wanted else None


def _set_target(document: Document, after: Element, target: Element | None, content: str, reused: bool) -> None:
    """Fill the target of a unit of XLIFF 1.2, or make one after its source."""
    attributes = REUSED_1 if reused else FILLED_1
    if target is None:
        document.insert_after(after, "target", attributes, content)
    else:
        _set_attributes(document, target, attributes)
        document.fill(target, content)


def _set_attributes(document: Document, element: Element, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        document.set_attribute(element, name, value)


def _exchanged(document: Document, element: Element, segments: list[Element], texts: list[str]) -> str:
    """The content of an element as it is written, with other texts in some elements of it."""
    pieces, at = [], element.inside
    for segment, text in zip(segments, texts, strict=True):
        pieces += [document.written(at, segment.inside), text]
        at = segment.close
    return "".join([*pieces, document.written(at, element.close)])


def _units_2(document: Document, direction: Direction) -> Iterator[Unit]:
    """The segments of XLIFF 2 to fill; names the target language of the file if there are some."""
    root = document.root
    _check_languages(document, root, direction, "srcLang", "trgLang")
    units = []
    for segment in root.iter("segment"):
        source, target = segment.child("source"), segment.child("target")
        if source is not None and segment.inherited("translate") != "no" and _empty(target):
            units.append(_unit_2(document, segment, source, target))
    if units and "trgLang" not in root.attributes:
        document.set_attribute(root, "trgLang", _tag(direction.target))
    yield from units


def _unit_2(document: Document, segment: Element, source: Element, target: Element | None) -> Unit:
    def put(found: list[str], reused: bool) -> None:
        if "subState" in segment.attributes and not reused:  # it is that of the state before
            document.remove_attribute(segment, "subState")
        _set_attributes(document, segment, REUSED_2 if reused else FILLED_2)
        if target is None:
            document.insert_after(source, "target", {}, found[0])
        else:
            document.fill(target, found[0])

    return Unit([source], put)


def _units_of_memory(document: Document, direction: Direction) -> Iterator[Unit]:
    """The units of a translation memory that have the source and lack the target."""
    for unit in document.root.iter("tu"):
        variants = [one for one in unit.children if one.name == "tuv"]
        sources = [one for one in variants if _is(one, direction.source)]
        segment = sources[0].child("seg") if sources else None
        if segment is not None and not any(_is(one, direction.target) for one in variants):
            yield _unit_of_memory(document, variants[-1], segment, _tag(direction.target))


def _unit_of_memory(document: Document, last: Element, segment: Element, tag: str) -> Unit:
    attributes = {"xml:lang": tag, "creationid": MADE_HERE}

    def put(found: list[str], reused: bool) -> None:
        text = document.tagged(segment, "seg", {}, found[0])
        document.insert_after(last, "tuv", attributes, f"{document.indent(segment)}{text}{_closing(document, last)}")

    return Unit([segment], put)


def _closing(document: Document, element: Element) -> str:
    """The white space before an element's end tag."""
    inside = document.written(element.inside, element.close)
    return inside[len(inside.rstrip()) :]


def _translate(translator: Translator, direction: Direction, document: Document, units: list[Unit]) -> None:
    """Translate and put; tell how many were filled, and list those that weren't."""
    units = [unit for unit in units if any(source.text.strip() for source in unit.sources)]
    problems: list[str] = []
    readable: list[tuple[Unit, list[Segment]]] = []
    for unit in units:
        try:
            readable.append((unit, [Segment.of(document, source) for source in unit.sources]))
        except ValueError as problem:
            problems.append(f"{document.name}:{unit.sources[0].line}: {problem}")
    segments = [segment for _, each in readable for segment in each]
    found = iter(translated(translator, direction, segments))
    for unit, each in readable:
        filled = [next(found) for _ in each]
        wrong = next((problem for _, problem in filled if problem), "")
        if wrong:
            problems.append(f"{document.name}:{unit.sources[0].line}: {wrong}")
        else:
            reused = all(is_agreed(translator, segment.text) and not segment.has_tags for segment in each)
            unit.put([text.replace("\n", document.line_end) for text, _ in filled], reused)
    log_problems(len(units) - len(problems), len(units), problems, "units")


def _empty(target: Element | None) -> bool:
    return target is None or (not target.children and not target.text.strip())


def _is(variant: Element, language: str) -> bool:
    tag = variant.attributes.get(f"{XML} lang") or variant.attributes.get("lang") or ""
    return bool(tag) and match_language(tag, [language]) is not None


def _tag(language: str) -> str:
    """A language as BCP 47 writes it."""
    return language.replace("_", "-")


def _check_languages(document: Document, element: Element, direction: Direction, source: str, target: str) -> None:
    for attribute, wanted in ((source, direction.source), (target, direction.target)):
        seen = element.attributes.get(attribute)
        if seen and match_language(seen, [wanted]) is None:
            languages = " to ".join(str(element.attributes.get(name)) for name in (source, target))
            raise CorpusError(f"{document.name}:{element.line}: the file is from {languages}, not {direction}")


XLIFF = Format(translate_xliff, own_marks=True)
TMX = Format(translate_tmx, own_marks=True)
