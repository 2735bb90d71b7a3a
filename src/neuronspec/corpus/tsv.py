"""Reader `tsv`: one multi-parallel table, a column a language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neuronspec.corpus.lines import read_lines
from neuronspec.corpus.rows import ReadCounts, Row, Split, used_languages
from neuronspec.errors import CorpusError, DirectionError
from neuronspec.languages import canonical
from neuronspec.recipe import TsvCorpus


def read_tsv(corpus: TsvCorpus, counts: ReadCounts) -> Iterator[Row]:
    """The rows of the tables of a corpus: UTF-8, split on tabs, no quoting; empty cells are missing text.

    The first line names the columns: language codes (in any spelling that `languages.canonical` knows) and, if there,
    `id`. Columns of other languages are left out.

    Raises:
        CorpusError: a file can't be read, its header lacks a language, or a row has the wrong number of cells.
    """
    languages = used_languages(corpus)
    files: list[tuple[Split, Path | None]] = [("train", corpus.train), ("valid", corpus.valid), ("test", corpus.test)]
    for split, path in files:
        if path is not None:
            yield from _read_table(path, split, languages, counts)


def _read_table(path: Path, split: Split, languages: list[str], counts: ReadCounts) -> Iterator[Row]:
    lines = read_lines(path)
    _, header = next(lines, (0, ""))
    if not header:
        raise CorpusError(f"{path}: the first line is empty; it must name the columns: language codes, tab-separated")
    names = header.split("\t")
    columns = _columns(path, names, languages)
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) != len(names):
            raise CorpusError(
                f"{path}:{number}: {len(cells)} cells, expected {len(names)} as in the header; "
                "cells are split on tabs and never quoted"
            )
        counts.sources[path.name] += 1
        texts = {code: cells[column] for code, column in columns.items() if cells[column]}
        yield Row(texts, f"{path.name}:{number}", split)


def _columns(path: Path, names: list[str], languages: list[str]) -> dict[str, int]:
    """The column of each language.

    Raises:
        CorpusError: a language has no column, or two.
    """
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        code = _code(name.strip(), languages)
        if code is None:
            continue
        if code in found:
            raise CorpusError(f"{path}:1: columns {found[code] + 1} and {column + 1} are both {code!r}; keep one")
        found[code] = column
    missing = [code for code in languages if code not in found]
    if missing:
        raise CorpusError(
            f"{path}:1: the header has no column for {', '.join(missing)}; it has: {', '.join(names)}. "
            "Change corpus.languages, or name the columns by language code"
        )
    return found


def _code(name: str, languages: list[str]) -> str | None:
    """The language of the recipe that a column name means; None for `id` and other languages."""
    if name in languages:
        return name
    try:
        code = canonical(name) if name != "id" else None
    except DirectionError:
        return None
    return code if code in languages else None
