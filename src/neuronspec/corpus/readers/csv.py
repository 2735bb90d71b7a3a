"""Reader `csv`: tables with quoted cells and a column for each language."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from neuronspec.core.csv_rows import next_row
from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import matching
from neuronspec.corpus.readers.columns import columns_of, place_columns
from neuronspec.corpus.readers.lines import LONGEST_LINE, read_blocks
from neuronspec.corpus.readers.rows import BLOCK_ROWS, ReadCounts, Rows, Split
from neuronspec.corpus.readers.tables import TableSource

DELIMITERS = ",;\t|"
"""What may stand between cells where nothing else says it."""

_SAID = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line that names the delimiter, which Excel writes and reads."""


class CsvSource(TableSource):
    """Tables with quoted cells (`.csv`, also compressed) and a column for each language.

    UTF-8, with or without a byte order mark. Cells with delimiters, quotes or line ends are in double quotes, in which
    quotes are doubled; empty cells are missing text; blank lines are no rows. The first row names the columns, as in
    `tsv`. Cells are text as it stands, also what a spreadsheet would take for a formula.
    """

    endings: ClassVar[tuple[str, ...]] = (".csv",)
    reader: Literal["csv"]
    delimiter: Annotated[str, matching(r'[^"\r\n]', "one character, no quote or line end")] | None = Field(
        None,
        description="the character between cells; without it, the one that a line sep=; above the first row names, or "
        "that one of comma, semicolon, tab and bar by which the first row names most of the languages",
    )

    def check_file(self, path: Path, languages: Sequence[str]) -> None:
        """Look at the first row; not of a pipe, which can be read only once.

        Raises:
            CorpusError: the file can't be read, or its first row lacks a language.
        """
        if path.is_file():
            self._columns(path, _Records(path, self, languages, block=1), languages)

    def read_file(
        self, path: Path, name: str, languages: Sequence[str], split: Split, counts: ReadCounts
    ) -> Iterator[Rows]:
        """The rows of a table.

        Raises:
            CorpusError: it can't be read, its first row lacks a language, quotes are unpaired, or a row has the wrong
                number of cells.
        """
        records = _Records(path, self, languages)
        columns = self._columns(path, records, languages)
        while block := list(islice(records, BLOCK_ROWS)):
            texts = {code: [cells[column] for _, cells in block] for code, column in columns.items()}
            yield Rows(texts, [f"{name}:{line}" for line, _ in block], split)

    def _columns(self, path: Path, records: _Records, languages: Sequence[str]) -> dict[str, int]:
        line, names = next(records)
        return columns_of(f"{path}:{line}", names, languages, self.mapped)


class _Records:
    """The rows of a table, the names of its columns first, each with the number of its first line.

    Raises:
        CorpusError: the file can't be read, is empty, has unpaired quotes, or a row with the wrong number of cells.
    """

    def __init__(self, path: Path, source: CsvSource, languages: Sequence[str], block: int = BLOCK_ROWS) -> None:
        self._path = path
        self._size = 0
        lines = self._lines(block)
        self._line = 1
        first = next(lines, "")
        said = _SAID.fullmatch(first.strip("\n"))
        if said:
            self._line = 2
            first = next(lines, "")
        if not first.strip():
            raise CorpusError(f"{path}:{self._line}: the line is empty; it must name the columns: language codes")
        delimiter = source.delimiter or (said[1] if said else _guessed(first, languages, source.mapped))
        self._skipped = self._line - 1
        self._rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        self._width: int | None = None

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        cells: list[str] = []
        while not cells:
            line, self._size = self._line, 0
            try:
                cells = next_row(self._rows, LONGEST_LINE)
            except csv.Error as error:
                raise CorpusError(
                    f"{self._path}:{line}: {error}, in the row that begins here; cells with quotes, delimiters or line "
                    "ends are in double quotes, and quotes in them are doubled"
                ) from None
            self._line = self._skipped + self._rows.line_num + 1
            if len(cells) == 1 and self._width != 1 and not cells[0].strip():
                cells = []
        if len(cells) != self._width:
            if self._width is not None:
                raise CorpusError(
                    f"{self._path}:{line}: {len(cells)} cells, expected {self._width} as in the first row; quote the "
                    "cells that hold the delimiter, or set delimiter"
                )
            self._width = len(cells)
        return line, cells

    def _lines(self, block: int) -> Iterator[str]:
        """The lines of the file. A quote that is never closed doesn't fill the memory."""
        for _, lines in read_blocks(self._path, block):
            for line in lines:
                self._size += len(line)
                if self._size > LONGEST_LINE:
                    raise CorpusError(
                        f"{self._path}:{self._line}: a row of more than {LONGEST_LINE // 2**20} MiB; a quote of it may "
                        "not be closed"
                    )
                yield f"{line}\n"


def _guessed(first: str, languages: Sequence[str], mapped: dict[str, str]) -> str:
    """The delimiter by which a first row names most languages."""

    def named(delimiter: str) -> int:
        try:
            names = next_row(csv.reader([first], delimiter=delimiter), LONGEST_LINE)
        except csv.Error:  # told where the rows are read, with the place
            return 0
        try:
            return len(place_columns("", names, languages, mapped, may_lack=True))
        except CorpusError:  # a language has two columns
            return len(languages)

    return max(DELIMITERS, key=named)
