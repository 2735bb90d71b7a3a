"""Reader `tsv`: multi-parallel tables with a column for each language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.columns import SHOWN, columns_of
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import LineOrigins, ReadCounts, Rows, Split
from neuronspec.corpus.readers.tables import TableSource


class TsvSource(TableSource):
    """Multi-parallel tables (`.tsv`, `.tsv.gz`, `.tsv.xz`, `.tsv.zst`) with a column for each language.

    UTF-8, split on tabs, no quoting; empty cells are missing text; blank lines are no rows. The first line of each
    names the columns: language codes (in any spelling, `deu_Latn` for `de`; also of another region, `en-US` for `en`,
    where no other column fits) and, if there, `id`. Columns of other languages are left out.
    """

    reader: Literal["tsv"]

    endings: ClassVar[tuple[str, ...]] = (".tsv",)

    def check_file(self, path: Path, languages: Sequence[str]) -> None:
        """Look at the header; not of a pipe, which can be read only once.

        Raises:
            CorpusError: the file can't be read, or its header lacks a language.
        """
        if path.is_file():
            _, (header,) = next(read_blocks(path, size=1), (1, [""]))
            columns_of(f"{path}:1", _header(path, header), languages, self.mapped)

    def read_file(
        self, path: Path, name: str, languages: Sequence[str], split: Split, counts: ReadCounts
    ) -> Iterator[Rows]:
        """The rows of a table.

        Raises:
            CorpusError: it can't be read, its header lacks a language, or a row has the wrong number of cells.
        """
        names: list[str] = []
        columns: dict[str, int] = {}
        for number, lines in read_blocks(path):
            if number == 1:
                names = _header(path, lines[0])
                columns = columns_of(f"{path}:1", names, languages, self.mapped)
                number, lines = 2, lines[1:]
            numbers, cells = _cells(path, number, lines, len(names))
            if cells:
                whole = len(numbers) == len(lines)
                origins = LineOrigins(name, number) if whole else [f"{name}:{each}" for each in numbers]
                yield Rows({code: cells[column] for code, column in columns.items()}, origins, split)
        if not names:
            _header(path, "")


def _header(path: Path, line: str) -> list[str]:
    if not line:
        raise CorpusError(f"{path}: the first line is empty; it must name the columns: language codes, tab-separated")
    if "\t" not in line and any(sign in line for sign in ",;|"):
        raise CorpusError(
            f"{path}:1: there is no tab in the first line, {line[:SHOWN]!r}; use the reader csv, if cells are between "
            "other characters"
        )
    return line.split("\t")


def _cells(path: Path, first: int, lines: list[str], width: int) -> tuple[list[int], list[tuple[str, ...]]]:
    """The numbers of the lines of a block that are rows, and their columns; no columns if there are none.

    Args:
        path: of the file.
        first: the number of the first line.
        lines: of the block.
        width: the number of columns.

    Raises:
        CorpusError: a line has more or fewer.
    """
    numbers, rows = [], []
    for number, line in enumerate(lines, start=first):
        row = line.split("\t")
        if len(row) == 1 != width and not line.strip():
            continue
        if len(row) != width:
            raise CorpusError(
                f"{path}:{number}: {len(row)} cells, expected {width} as in the header; "
                "cells are split on tabs and never quoted"
            )
        numbers.append(number)
        rows.append(row)
    return numbers, list(zip(*rows, strict=True))
