"""Tables: a column of `.tsv`, a field of `.jsonl`; the translation is added, everything else stays."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RecipeError
from neuronspec.core.json_files import parse_json
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source, windows
from neuronspec.deploy.translator import Translator

FIELD, ADDED = "text", "translation"


def translate_tsv(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a column as the last column.

    The column is `options.column`: its number, from 1, or its name in the first line, which then is no text and gets
    `translation` as the name of the new column. Without it, the file must have one column.

    Raises:
        RecipeError: there is no such column, or no `column` and several to choose from; lists them.
        CorpusError: a line has fewer columns, or isn't UTF-8.
    """
    column, named, number = 1, False, 0
    for window in windows(source):
        if number == 0:
            column, named = _column(source.name, window[0][0].removeprefix("\ufeff").split("\t"), options.column)
        texts = []
        for line, _ in window:
            number += 1
            cells = line.split("\t")
            if len(cells) < column or (options.column is None and len(cells) > 1):
                wanted = f"column {column} is to be translated" if options.column else "the first line has one"
                raise CorpusError(f"{source.name}:{number}: {len(cells)} columns, and {wanted}")
            texts.append(cells[column - 1])
        first = texts.pop(0) if named else None
        found = list(translator(texts, str(direction)))
        for (line, end), text in zip(window, found if first is None else [ADDED, *found], strict=True):
            stream.write(f"{line}\t{' '.join(text.split(chr(9)))}{end}".encode())
        stream.flush()
        named = False


def translate_jsonl(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a field as the field `translation`.

    The field is `options.column`; without it, `text` or the only field.

    Raises:
        RecipeError: no `column`, and the first line has no `text` but several fields; lists them.
        CorpusError: a line isn't a JSON object with that field, or isn't UTF-8.
    """
    name, number = options.column, 0
    for window in windows(source):
        rows: list[dict[str, Any] | None] = []
        for line, _ in window:
            number += 1
            row = _row(source.name, number, line) if line.strip() else None
            if row is not None:
                name = _field(source.name, row) if name is None else name
                _check_row(source.name, number, row, name)
            rows.append(row)
        found = iter(translator([row[str(name)] for row in rows if row is not None], str(direction)))
        for row, (line, end) in zip(rows, window, strict=True):
            text = line if row is None else json.dumps(row | {ADDED: next(found)}, ensure_ascii=False)
            stream.write((text + end).encode())
        stream.flush()


def _column(name: str, cells: list[str], column: str | None) -> tuple[int, bool]:
    """The column's number, and whether the first line is a header that names it."""
    listed = ", ".join(f"{place} {cell!r}" for place, cell in enumerate(cells, start=1))
    if column is None:
        if len(cells) == 1:
            return 1, False
        raise RecipeError(
            f"{name} has {len(cells)} columns (first line: {listed}): say with --column which one to translate, by its "
            "number or, if the first line is a header, by its name"
        )
    if column.isascii() and column.isdigit() and int(column) > 0:
        return int(column), False
    if cells.count(column) != 1:
        raise RecipeError(
            f"--column {column}: neither a number from 1 nor the name of one column of {name} (first line: {listed})"
        )
    return cells.index(column) + 1, True


def _row(name: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = parse_json(line, object)
    except ValueError as error:
        raise CorpusError(f"{name}:{number}: {error}") from None
    if not isinstance(row, dict):
        raise CorpusError(f"{name}:{number}: a line must be a JSON object, this is a {type(row).__name__}")
    return row


def _field(name: str, row: dict[str, Any]) -> str:
    if FIELD in row:
        return FIELD
    if len(row) == 1:
        return next(iter(row))
    listed = ", ".join(map(repr, row)) or "none"
    raise RecipeError(f"{name} has no field {FIELD!r} but {listed}: say with --column which one to translate")


def _check_row(name: str, number: int, row: dict[str, Any], field: str) -> None:
    if not isinstance(row.get(field), str):
        seen = ", ".join(map(repr, row))
        raise CorpusError(f"{name}:{number}: no text in the field {field!r} (seen: {seen}); name it with --column")
    if ADDED in row:
        raise CorpusError(f"{name}:{number}: the field {ADDED!r} is there already; rename it first")


TSV = Format(translate_tsv, ("column",))
JSONL = Format(translate_jsonl, ("column",))
