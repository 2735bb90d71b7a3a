"""Reader `tatoeba`: the test sets of the Tatoeba translation challenge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows, Split, in_columns
from neuronspec.corpus.readers.source import FileSource, Wanted
from neuronspec.corpus.readers.tagged import Tags


class TatoebaSource(FileSource):
    """Development and test sets of the Tatoeba translation challenge (Tiedemann 2020), any release.

    Files such as `tatoeba-test-v2021-08-07.deu-eng.txt.gz`: lines of four columns without a header, the languages of
    the two texts and the texts. Languages are told by the columns, not by the name of the file, since a file of a
    macro-language (`zho-eng`) has several. Lines in other languages are left out and counted.
    """

    reader: Literal["tatoeba"]

    endings: ClassVar[tuple[str, ...]] = (".txt",)

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The lines of the files.

        Raises:
            CorpusError: a file can't be read, a line hasn't four columns, or there is no text of a language.
        """
        languages, tags = list(wanted.languages), Tags(wanted.languages)
        rows = (row for name, path in self.files().items() for row in _rows(name, path, split, tags, counts))
        yield from in_columns(rows, languages, split)
        tags.check(self.path)


def _rows(name: str, path: Path, split: Split, tags: Tags, counts: ReadCounts) -> Iterator[Row]:
    for first, lines in read_blocks(path):
        counts.sources[name] += len(lines)
        for number, line in enumerate(lines, start=first):
            cells = line.split("\t")
            if len(cells) != 4:
                raise CorpusError(
                    f"{path}:{number}: {len(cells)} cells, expected 4: two languages and their texts, tab-separated; "
                    "give a pattern that means the challenge's files alone"
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
