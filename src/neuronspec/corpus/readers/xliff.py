"""Reader `xliff`: the translated units of localisation files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.rows import ReadCounts, Row, Split
from neuronspec.corpus.readers.tagged import TaggedSource, Tags
from neuronspec.corpus.readers.xml_units import Unit, language_of, local, read_units, text_of

_SIDES = {"source": ("source-language", "srcLang"), "target": ("target-language", "trgLang")}
"""The attributes that name the language of each side, in 1.2 and in 2.x."""

_FINISHED = {
    "trans-unit": ("translated", "signed-off", "final", None),
    "segment": ("reviewed", "final", None),
}
"""By what a unit is called, in 1.2 and in 2.x, the states of those that a person translated.

In 2.x, `translated` is also what `neuronspec translate` and other software give to what a model filled.
"""

_BY_MACHINE = ("leveraged-mt", "mt-suggestion")
"""The state qualifiers of 1.2 that mean machine translation; nobody looked at it before it is signed off."""


class XliffSource(TaggedSource):
    """Localisation files (XLIFF 1.2, 2.0 and 2.1; `.xlf`, `.xliff`, also compressed), read unit by unit.

    A translated unit is a row of its source and its target: in 1.2 one that is `translated`, `signed-off`, `final` or
    without a state, and neither `approved="no"` nor qualified as machine translation; in 2.x a segment that is
    `reviewed`, `final` or without a state (`translated` ones may be a model's, also of this software). Units without a
    target, in another state, with markup in the text, or not for translation (`translate="no"`) are left out and
    counted under the target language. Entities and other files are never read.
    """

    reader: Literal["xliff"]

    endings: ClassVar[tuple[str, ...]] = (".xlf", ".xliff")

    def rows_of_file(self, path: Path, name: str, tags: Tags, split: Split, counts: ReadCounts) -> Iterator[Row]:
        """The units of a file.

        Raises:
            CorpusError: it can't be read.
        """
        with opened(path) as file:
            for unit in read_units(str(path), file, "xliff", ("trans-unit", "segment")):
                counts.sources[name] += 1
                sides = {local(one.tag): one for one in unit.element if local(one.tag) in _SIDES}
                spelled = [
                    (language_of(sides[side]) if side in sides else "")
                    or next((unit.around[key] for key in keys if key in unit.around), "")
                    for side, keys in _SIDES.items()
                ]
                codes = tags.places(tuple(spelled))
                texts = {side: text_of(element) for side, element in sides.items()}
                reason = _unusable(unit, texts)
                if reason:
                    counts.skip(codes.get(1, spelled[1] or "no language named"), reason)
                found = (
                    {} if reason else {code: texts["target" if place else "source"] for place, code in codes.items()}
                )
                yield Row({code: text for code, text in found.items() if text}, f"{name}:{unit.line}", split)


def _unusable(unit: Unit, texts: dict[str, str | None]) -> str:
    """Why a unit isn't used; empty if it is."""
    element = unit.element
    if (element.get("translate") or unit.around.get("translate")) == "no":
        return "not for translation"
    target = next((one for one in element if local(one.tag) == "target"), None)
    if target is None or texts["target"] == "":
        return "untranslated"
    kind = local(element.tag)
    state = (target if kind == "trans-unit" else element).get("state")
    if kind == "segment" and state == "translated":
        return "translated but not reviewed"
    if state not in _FINISHED[kind] or element.get("approved") == "no":
        return "not finished"
    if target.get("state-qualifier") in _BY_MACHINE and state in ("translated", None):
        return "machine translation"
    return "markup in the text" if None in texts.values() else ""
