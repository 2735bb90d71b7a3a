"""Tables with commas, semicolons or tabs between their cells (`.csv`); the translation is added as the last column."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from neuronspec.core.csv_rows import next_row
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.core.table import guarded
from neuronspec.deploy.documents.columns import ADDED, column_of
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.spans import Text
from neuronspec.deploy.translator import Translator

SEPARATORS = ",;\t|"
"""What may stand between cells: what the first rows have equally often, or else the first row most often."""

FIRST_ROWS = 20

_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SAID = re.compile(r'"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
"""A first line that names the separator, which Excel writes and reads."""

Row = tuple[int, str, list[str]]
"""The number of its first line, how it is written, and its cells."""


def translate_csv(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a column as the last column; what is there stays as it is written.

    The column is chosen as in `.tsv` files. A translation is quoted where it must be, or where all cells of its row
    are, and gets an apostrophe in front where a spreadsheet would take it for a formula (`neuronspec.core.table`).

    Raises:
        RecipeError: there is no such column, or no `column` and several to choose from; lists them.
        CorpusError: a row has fewer columns or unpaired quotes, or the file isn't UTF-8.
    """
    text = Text.read(source)
    said = _SAID.match(text.text)
    begin = said.end() if said else 0
    separator = said[1] if said else _separator(text.text)
    rows = [row for row in _rows(text, begin, separator) if row[2]]
    if not rows:
        stream.write(text.encoded(text.text))
        return
    column, named = column_of(source.name, rows[0][2], options.column)
    texts = [_cell(text.name, row, column, options) for row in rows[named:]]
    found = [*([ADDED] if named else []), *translator(texts, str(direction))]
    added = {row[0]: translation for row, translation in zip(rows, found, strict=True)}
    pieces = [text.text[:begin]]
    for number, written, cells in _rows(text, begin, separator):
        body = written.rstrip("\r\n")
        extended = f"{body}{separator}{_written(added[number], body, cells, separator)}" if cells else body
        pieces.append(extended + written[len(body) :])
    stream.write(text.encoded("".join(pieces)))


def _separator(text: str) -> str:
    lines = [line for line in _QUOTED.sub("", text).split("\n")[:FIRST_ROWS] if line.strip()] or [""]

    def fit(mark: str) -> tuple[bool, int]:
        counts = {line.count(mark) for line in lines}
        return counts != {0} and len(counts) == 1, lines[0].count(mark)

    return max(SEPARATORS, key=fit)


def _rows(text: Text, begin: int, separator: str) -> Iterator[Row]:
    """The rows as they are written, over several lines where line ends are quoted."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text.text[begin:])
    before = text.line(begin) - 1
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    done = 0
    while done < len(lines):
        try:
            cells = next_row(reader, len(text.text))
        except csv.Error as problem:
            raise CorpusError(f"{text.name}:{before + done + 1}: not a row of CSV: {problem}") from None
        written = "".join(lines[done : reader.line_num])
        yield before + done + 1, written, cells if written.strip() else []
        done = reader.line_num


def _cell(name: str, row: Row, column: int, options: Options) -> str:
    number, _, cells = row
    if len(cells) < column or (options.column is None and len(cells) > 1):
        wanted = f"column {column} is to be translated" if options.column else "the first row has one"
        raise CorpusError(f"{name}:{number}: {len(cells)} columns, and {wanted}")
    return cells[column - 1]


def _written(text: str, body: str, cells: list[str], separator: str) -> str:
    """A cell: quoted where it must be, or where all of its row are."""
    text = guarded(text)
    always = len(_QUOTED.findall(body)) == len(cells)
    if always or text != text.strip() or any(mark in text for mark in (separator, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


CSV = Format(translate_csv, ("column",), own_marks=True)
