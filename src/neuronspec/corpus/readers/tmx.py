"""Reader `tmx`: translation memories, multi-parallel by unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal
from xml.etree.ElementTree import Element

from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.rows import ReadCounts, Row, Split
from neuronspec.corpus.readers.tagged import TaggedSource, Tags
from neuronspec.corpus.readers.xml_units import MADE_HERE, language_of, local, read_units, text_of


class TmxSource(TaggedSource):
    """Translation memories (TMX 1.1 to 1.4; `.tmx`, `.tmx.gz`, `.tmx.xz`, `.tmx.zst`), read unit by unit.

    A unit is a row: its variants are the texts, by language in any spelling (`en-US` for `en`). Of several variants in
    one language, the first is read. Formatting (`bpt`, `ept`, `hi`) is taken out of texts; variants with other markup,
    which stands for something in the text (`ph`, `it`), are left out, and so are those that a model of this software
    filled. What is left out is counted. Entities and other files are never read.
    """

    reader: Literal["tmx"]

    endings: ClassVar[tuple[str, ...]] = (".tmx",)

    def rows_of_file(self, path: Path, name: str, tags: Tags, split: Split, counts: ReadCounts) -> Iterator[Row]:
        """The units of a file.

        Raises:
            CorpusError: it can't be read.
        """
        with opened(path) as file:
            for unit in read_units(str(path), file, "tmx", ("tu",)):
                counts.sources[name] += 1
                variants = [one for one in unit.element if local(one.tag) == "tuv"]
                texts: dict[str, str] = {}
                for place, code in tags.places(tuple(map(language_of, variants))).items():
                    text, reason = _text(variants[place])
                    if not reason and code in texts:
                        reason = "another variant of the same unit"
                    if reason:
                        counts.skip(code, reason)
                    else:
                        texts[code] = text
                yield Row(texts, f"{name}:{unit.line}", split)


def _text(variant: Element) -> tuple[str, str]:
    """The text of a variant, and why it isn't used."""
    if variant.get("creationid") == MADE_HERE:
        return "", "filled by a model"
    segment = next((one for one in variant if local(one.tag) == "seg"), None)
    text = None if segment is None else text_of(segment)
    if segment is None or (text is not None and not text.strip()):
        return "", "empty"
    return ("", "markup in the text") if text is None else (text, "")
