"""Translators' XML: XLIFF 1.2 and 2.0 and TMX. Empty targets are filled; what has markup inside is left to people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, MissingExtraError
from neuronspec.deploy.documents.checks import kept, log_problems, lost
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.translator import Translator

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?(?:<\?xml\s.*?\?>)?\s*", re.DOTALL)  # with a byte order mark
XLIFF_1, XLIFF_2 = "urn:oasis:names:tc:xliff:document:1.2", "urn:oasis:names:tc:xliff:document:2.0"


@dataclass(frozen=True, slots=True)
class Unit:
    """What can be filled: the source element, and where its translation goes."""

    source: Any
    parent: Any


def translate_xliff(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Fill the units of an XLIFF file that have no target.

    They get the state `needs-review-translation` in 1.2, `translated` in 2.0.

    Units marked `translate="no"`, and those with a target, stay. Units with inline markup or segmentation inside stay
    and are listed, as are those whose translation lost a placeholder.

    Raises:
        CorpusError: not XML, not XLIFF 1.2 or 2.0, or for another pair of languages.
    """
    tree, raw = _parse(source)
    root = tree.getroot()
    namespace = root.tag.partition("}")[0].strip("{")
    if root.tag not in (f"{{{XLIFF_1}}}xliff", f"{{{XLIFF_2}}}xliff"):
        raise CorpusError(f"{source.name}: not XLIFF 1.2 or 2.0: its root is {root.tag!r}")
    if namespace == XLIFF_1:
        for file in root.iter(f"{{{XLIFF_1}}}file"):
            _check_languages(source.name, direction, file.get("source-language"), file.get("target-language"))
        parents = list(root.iter(f"{{{XLIFF_1}}}trans-unit"))
    else:
        _check_languages(source.name, direction, root.get("srcLang"), root.get("trgLang"))
        parents = list(root.iter(f"{{{XLIFF_2}}}segment"))
        if root.get("trgLang") is None:
            root.set("trgLang", direction.target.replace("_", "-"))
    units = [
        Unit(found, parent)
        for parent in parents
        if (found := parent.find(f"{{{namespace}}}source")) is not None
        and not _is_protected(parent)
        and _is_empty(parent.find(f"{{{namespace}}}target"))
    ]
    problems = _fill(translator, direction, source.name, units, _xliff_target)
    stream.write(_serialized(tree, raw))
    log_problems(len(units) - len(problems), len(units), problems, "units")


def translate_tmx(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add a variant in the target language to the units of a translation memory that have none.

    Raises:
        CorpusError: not XML, or not TMX.
    """
    tree, raw = _parse(source)
    root = tree.getroot()
    if root.tag != "tmx":
        raise CorpusError(f"{source.name}: not TMX: its root is {root.tag!r}")
    units = []
    for unit in root.iter("tu"):
        variants = {_language(each.get(LANG) or each.get("lang")): each for each in unit.findall("tuv")}
        own = variants.get(_language(direction.source))
        if own is not None and own.find("seg") is not None and _language(direction.target) not in variants:
            units.append(Unit(own.find("seg"), unit))
    problems = _fill(translator, direction, source.name, units, _tmx_variant)
    stream.write(_serialized(tree, raw))
    log_problems(len(units) - len(problems), len(units), problems, "units")


def _parse(source: Source) -> tuple[Any, bytes]:
    """The tree, and the bytes that it was read from."""
    try:
        from lxml import etree
    except ImportError:
        raise MissingExtraError("lxml", "deploy", "translating XLIFF and TMX files") from None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    raw = source.stream.read()
    try:
        return etree.parse(BytesIO(raw), parser), raw
    except etree.XMLSyntaxError as error:
        line = error.lineno or 1
        raise CorpusError(f"{source.name}:{line}: not XML: {error.msg}") from None


def _serialized(tree: Any, raw: bytes) -> bytes:
    """The tree as bytes. lxml would write another declaration, line end and end of the file: they stay as in `raw`."""
    from lxml import etree

    encoding = tree.docinfo.encoding or "UTF-8"
    if b"\0" in raw[:4]:  # UTF-16 or UTF-32: what is written here in bytes wouldn't fit
        return bytes(etree.tostring(tree, encoding=encoding, xml_declaration=True))
    content = etree.tostring(tree, encoding=encoding, xml_declaration=False)
    if raw.count(b"\r\n") == raw.count(b"\n"):
        content = content.replace(b"\n", b"\r\n")
    found = _DECLARATION.match(raw)
    return (found[0] if found else b"") + content.strip() + raw[len(raw.rstrip()) :]


def _fill(translator: Translator, direction: Direction, name: str, units: list[Unit], put: Any) -> list[str]:
    """Translate and put; what couldn't be."""
    plain = [unit for unit in units if len(unit.source) == 0 and (unit.source.text or "").strip()]
    texts = [unit.source.text for unit in plain]
    problems = [
        f"{name}:{unit.source.sourceline}: it has markup or segments inside" for unit in units if unit not in plain
    ]
    for unit, text, translation in zip(plain, texts, translator(texts, str(direction)), strict=True):
        body = text.strip()
        first = text.index(body)
        if not translation.strip():
            problems.append(f"{name}:{unit.source.sourceline}: the translation is empty")
        elif not kept(text, translation):
            problems.append(f"{name}:{unit.source.sourceline}: the translation is {lost(text, translation)}")
        else:
            put(unit, text[:first] + translation.strip() + text[first + len(body) :], direction)
    return problems


def _xliff_target(unit: Unit, text: str, direction: Direction) -> None:
    from lxml import etree

    namespace = unit.parent.tag.partition("}")[0].strip("{")
    target = unit.parent.find(f"{{{namespace}}}target")
    if target is None:
        target = etree.Element(f"{{{namespace}}}target")
        target.tail = unit.source.tail
        unit.source.addnext(target)
    target.text = text
    if namespace == XLIFF_1:
        target.set("state", "needs-review-translation")
    else:
        unit.parent.set("state", "translated")


def _tmx_variant(unit: Unit, text: str, direction: Direction) -> None:
    from lxml import etree

    last = unit.parent[-1]
    variant = etree.SubElement(unit.parent, "tuv", {LANG: direction.target.replace("_", "-")})
    variant.set("creationid", "neuronspec")
    variant.tail = last.tail
    etree.SubElement(variant, "seg").text = text


def _is_empty(target: Any) -> bool:
    return target is None or (len(target) == 0 and not (target.text or "").strip())


def _is_protected(element: Any) -> bool:
    """Whether the nearest `translate` attribute says no, or the text was segmented (XLIFF 1.2)."""
    for each in (element, *element.iterancestors()):
        if each.get("translate") is not None:
            return bool(each.get("translate") == "no")
    return element.find(f"{{{XLIFF_1}}}seg-source") is not None


def _language(code: str | None) -> str:
    return re.split(r"[-_]", code or "")[0].lower()


def _check_languages(name: str, direction: Direction, source: str | None, target: str | None) -> None:
    for seen, wanted in ((source, direction.source), (target, direction.target)):
        if seen and _language(seen) != _language(wanted):
            raise CorpusError(f"{name}: the file is from {source} to {target}, not {direction}")


XLIFF = Format(translate_xliff)
TMX = Format(translate_tmx)
