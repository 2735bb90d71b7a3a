"""Reader `tatoeba`: the test sets of the Tatoeba translation challenge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import ReadCounts, Row, Split
from neuronspec.corpus.readers.tagged import TaggedSource, Tags


class TatoebaSource(TaggedSource):
    """Development and test sets of the Tatoeba translation challenge (Tiedemann 2020), any release.

    Files such as `tatoeba-test-v2021-08-07.deu-eng.txt.gz`: lines of four columns without a header, the languages of
    the two texts and the texts. Languages are told by the columns, not by the name of the file, since a file of a
    macro-language (`zho-eng`) has several. Lines in other languages are left out and counted.
    """

    reader: Literal["tatoeba"]

    endings: ClassVar[tuple[str, ...]] = (".txt",)

    def rows_of_file(self, path: Path, name: str, tags: Tags, split: Split, counts: ReadCounts) -> Iterator[Row]:
        """The lines of a file.

        Raises:
            CorpusError: it can't be read, or a line hasn't four columns.
        """
        for first, lines in read_blocks(path):
            for number, line in enumerate(lines, start=first):
                if not line.strip():
                    continue
                counts.sources[name] += 1
                cells = line.split("\t")
                if len(cells) != 4:
                    raise CorpusError(
                        f"{path}:{number}: {len(cells)} cells, expected 4: two languages and their texts, tab-"
                        "separated; give a pattern that means the challenge's files alone"
                    )
                codes = tags.places((cells[0], cells[1]))
                if len(set(codes.values())) == 2:
                    yield Row({code: cells[place + 2] for place, code in codes.items()}, f"{name}:{number}", split)
                    continue
                if len(codes) == 2:
                    counts.skip(codes[0], "both texts in this language")
                for place, tag in enumerate(cells[:2]):
                    if place not in codes:
                        counts.skip(tag, "language that isn't asked for")
