"""Reader `tsv`: multi-parallel tables with a column for each language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import best_tags
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import LineOrigins, ReadCounts, Rows, Split
from neuronspec.corpus.readers.source import FileSource, Wanted


class TsvSource(FileSource):
    """Multi-parallel tables (`.tsv`, `.tsv.gz`, `.tsv.xz`, `.tsv.zst`) with a column for each language.

    UTF-8, split on tabs, no quoting; empty cells are missing text. The first line of each names the columns: language
    codes (in any spelling, `deu_Latn` for `de`; also of another region, `en-US` for `en`, where no other column fits)
    and, if there, `id`. Columns of other languages are left out.
    """

    reader: Literal["tsv"]

    endings: ClassVar[tuple[str, ...]] = (".tsv",)

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the tables.

        Raises:
            CorpusError: one can't be read, its header lacks a language, or a row has the wrong number of cells.
        """
        for name, path in self.files().items():
            yield from _read_table(name, path, split, list(wanted.languages), counts)


def _read_table(name: str, path: Path, split: Split, languages: list[str], counts: ReadCounts) -> Iterator[Rows]:
    names: list[str] = []
    columns: dict[str, int] = {}
    for number, lines in read_blocks(path):
        if number == 1:
            names = _header(path, lines.pop(0))
            columns = _columns(path, names, languages)
            number += 1
        cells = _cells(path, number, lines, len(names))
        if cells:
            counts.sources[name] += len(lines)
            texts = {code: cells[column] for code, column in columns.items()}
            yield Rows(texts, LineOrigins(name, number), split)
    if not names:
        _header(path, "")


def _header(path: Path, line: str) -> list[str]:
    if not line:
        raise CorpusError(f"{path}: the first line is empty; it must name the columns: language codes, tab-separated")
    return line.split("\t")


def _cells(path: Path, first: int, lines: list[str], width: int) -> list[tuple[str, ...]]:
    """The columns of a block of lines, of which `first` is the number of the first; empty if there are no lines."""
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, start=first):
        if len(row) != width:
            raise CorpusError(
                f"{path}:{number}: {len(row)} cells, expected {width} as in the header; "
                "cells are split on tabs and never quoted"
            )
    return list(zip(*rows, strict=True))


def _columns(path: Path, names: list[str], languages: list[str]) -> dict[str, int]:
    """The column of each language.

    Raises:
        CorpusError: a language has no column, or two.
    """
    stripped = [name.strip() for name in names]
    tags = best_tags((name for name in dict.fromkeys(stripped) if name != "id" or name in languages), languages)
    found: dict[str, int] = {}
    for code, spelled in tags.items():
        columns = [column for column, name in enumerate(stripped) if name in spelled]
        if len(columns) > 1:
            raise CorpusError(f"{path}:1: columns {columns[0] + 1} and {columns[1] + 1} are both {code!r}; keep one")
        found[code] = columns[0]
    missing = [code for code in languages if code not in found]
    if missing:
        raise CorpusError(
            f"{path}:1: the header has no column for {', '.join(missing)}; it has: {', '.join(names)}. "
            "Change corpus.languages, or name the columns by language code"
        )
    return found
