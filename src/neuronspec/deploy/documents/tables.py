"""Tables: a column of `.tsv`, a field of `.jsonl`; the translation is added, all else stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from neuronspec.deploy.documents.lines import Source, windows
from neuronspec.deploy.translator import Translator
from neuronspec.direction import Direction
from neuronspec.errors import CorpusError, RecipeError

if TYPE_CHECKING:
    from neuronspec.deploy.documents.kinds import Options

FIELD, ADDED = "text", "translation"


def translate_tsv(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a column (`options.column`, from 1; the first without it) as the last column.

    Raises:
        RecipeError: `column` isn't a number.
        CorpusError: a line has fewer columns, or isn't UTF-8.
    """
    column = _number(options.column)
    number = 0
    for window in windows(source):
        texts = []
        for line, _ in window:
            number += 1
            cells = line.split("\t")
            if len(cells) < column:
                raise CorpusError(
                    f"{source.name}:{number}: {len(cells)} columns, and column {column} is to be translated"
                )
            texts.append(cells[column - 1])
        for (line, end), text in zip(window, translator(texts, str(direction)), strict=True):
            stream.write(f"{line}\t{' '.join(text.split(chr(9)))}{end}".encode())
        stream.flush()


def translate_jsonl(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a field (`options.column`; `text` without it) as the field `translation`.

    Raises:
        CorpusError: a line isn't a JSON object with that field, or isn't UTF-8.
    """
    name = options.column or FIELD
    number = 0
    for window in windows(source):
        rows: list[dict[str, Any] | None] = []
        for line, _ in window:
            number += 1
            rows.append(_row(source.name, number, line, name) if line.strip() else None)
        found = iter(translator([row[name] for row in rows if row is not None], str(direction)))
        for row, (line, end) in zip(rows, window, strict=True):
            text = line if row is None else json.dumps(row | {ADDED: next(found)}, ensure_ascii=False)
            stream.write((text + end).encode())
        stream.flush()


def _number(column: str | None) -> int:
    if column is None:
        return 1
    if not column.isascii() or not column.isdigit() or int(column) < 1:
        raise RecipeError(f"--column {column}: a .tsv file's columns are numbered from 1")
    return int(column)


def _row(name: str, number: int, line: str, field: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{name}:{number}: not JSON: {error}") from None
    if not isinstance(row, dict) or not isinstance(row.get(field), str):
        seen = ", ".join(map(repr, row)) if isinstance(row, dict) else type(row).__name__
        raise CorpusError(f"{name}:{number}: no text in the field {field!r} (seen: {seen}); name it with --column")
    if ADDED in row:
        raise CorpusError(f"{name}:{number}: the field {ADDED!r} is there already; rename it first")
    return row
