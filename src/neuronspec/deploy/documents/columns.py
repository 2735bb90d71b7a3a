"""Tables: a column of `.tsv`, a field of `.jsonl`; the translation is added, everything else stays."""

from __future__ import annotations

import json
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RecipeError
from neuronspec.core.json_files import Number, Pairs, parse_row
from neuronspec.deploy.documents.checks import log_problems
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source, windows
from neuronspec.deploy.translator import Translator

FIELD, ADDED = "text", "translation"


def translate_tsv(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a column as the last column.

    The column is `options.column`: its number, from 1, or its name in the first line, which then is no text and gets
    `translation` as the name of the new column. Without it, the file must have one column. Blank lines of a file with
    several columns stay.

    Raises:
        RecipeError: there is no such column, or no `column` and several to choose from; lists them.
        CorpusError: a line has fewer columns, or isn't UTF-8.
    """
    column, named, number = 1, False, 0
    for window in windows(source):
        if number == 0:
            column, named = column_of(source.name, window[0][0].split("\t"), options.column)
        texts: list[str] = []
        blank: list[bool] = []
        for line, _ in window:
            number += 1
            cells = line.split("\t")
            blank.append(not line.strip() and len(cells) == 1 < column)
            if blank[-1]:
                continue
            if len(cells) < column or (options.column is None and len(cells) > 1):
                wanted = f"column {column} is to be translated" if options.column else "the first line has one"
                raise CorpusError(f"{source.name}:{number}: {len(cells)} columns, and {wanted}")
            texts.append(cells[column - 1])
        texts = texts[named:]
        found = iter([*([ADDED] if named else []), *translator(texts, str(direction))])
        for (line, end), is_blank in zip(window, blank, strict=True):
            added = "" if is_blank else f"\t{next(found).replace(chr(9), ' ')}"
            stream.write(f"{line}{added}{end}".encode())
        stream.flush()
        named = False


def translate_jsonl(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Add the translation of a field as the field `translation`.

    The field is `options.column`; without it, `text` or the only field. All else in a row stays as it is written. Rows
    whose text can't be told (the field is there twice, or has no text) stay as they are, and are listed.

    Raises:
        RecipeError: no `column`, and the first line has no `text` but several fields; lists them.
        CorpusError: a line isn't a JSON object with that field, or isn't UTF-8.
    """
    name, number, wanted = options.column, 0, 0
    problems: list[str] = []
    for window in windows(source):
        texts: dict[int, str] = {}
        for place, (line, _) in enumerate(window):
            number += 1
            row = _row(source.name, number, line) if line.strip() else None
            if row is None:
                continue
            name = _field(source.name, row) if name is None else name
            text, wanted = _text(source.name, number, row, name), wanted + 1
            problem = _problem(row, name, text)
            if problem:
                problems.append(f"{source.name}:{number}: {problem}")
            else:
                texts[place] = text
        found = dict(zip(texts, translator(list(texts.values()), str(direction)), strict=True))
        for place, (line, end) in enumerate(window):
            stream.write(((_extended(line, found[place]) if place in found else line) + end).encode())
        stream.flush()
    if problems:
        log_problems(wanted - len(problems), wanted, problems, "rows")


def _extended(line: str, translation: str) -> str:
    """A row with one more field; all that is there stays as it is written."""
    body = line.rstrip()[:-1].rstrip()
    comma, colon = (", ", ": ") if '": ' in line else (",", ":")
    return f"{body}{comma}{json.dumps(ADDED)}{colon}{json.dumps(translation, ensure_ascii=False)}{line[len(body) :]}"


def column_of(name: str, cells: list[str], column: str | None) -> tuple[int, bool]:
    """The number of the column to translate, and whether the first line is a header that names it.

    Args:
        name: of the file, for messages.
        cells: of its first line.
        column: what the user says: a number, a name, or nothing.

    Raises:
        RecipeError: there is no such column, or several and none is named.
    """
    listed = ", ".join(f"{place} {cell!r}" for place, cell in enumerate(cells, start=1))
    if column is None:
        if len(cells) == 1:
            return 1, False
        raise RecipeError(
            f"{name} has {len(cells)} columns (first line: {listed}): say with --column which one to translate, by its "
            "number or, if the first line is a header, by its name"
        )
    if column.isascii() and column.isdigit() and int(column) > 0:
        if int(column) > len(cells):
            raise RecipeError(f"--column {column}: {name} has {len(cells)} columns (first line: {listed})")
        return int(column), False
    if cells.count(column) != 1:
        raise RecipeError(
            f"--column {column}: neither a number from 1 nor the name of one column of {name} (first line: {listed})"
        )
    return cells.index(column) + 1, True


def _row(name: str, number: int, line: str) -> Pairs:
    try:
        row = parse_row(line)
    except ValueError as error:
        raise CorpusError(f"{name}:{number}: {error}") from None
    if not isinstance(row, Pairs):
        raise CorpusError(f"{name}:{number}: a line must be a JSON object, this is a {type(row).__name__}")
    return row


def _field(name: str, row: Pairs) -> str:
    keys = list(dict(row))
    if FIELD in keys:
        return FIELD
    if len(keys) == 1:
        return keys[0]
    listed = ", ".join(map(repr, keys)) or "none"
    raise RecipeError(f"{name} has no field {FIELD!r} but {listed}: say with --column which one to translate")


def _text(name: str, number: int, row: Pairs, field: str) -> str:
    text = dict(row).get(field)
    if not isinstance(text, str) or isinstance(text, Number):
        seen = ", ".join(map(repr, dict(row)))
        raise CorpusError(f"{name}:{number}: no text in the field {field!r} (seen: {seen}); name it with --column")
    if ADDED in dict(row):
        raise CorpusError(f"{name}:{number}: the field {ADDED!r} is there already; rename it first")
    return text


def _problem(row: Pairs, field: str, text: str) -> str:
    """Why a row is left as it is; empty where it can be translated."""
    if [key for key, _ in row].count(field) > 1:
        return f"it has the field {field!r} more than once"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return f"the field {field!r} has half of a surrogate pair, which is no character"
    return ""


TSV = Format(translate_tsv, ("column",))
JSONL = Format(translate_jsonl, ("column",))
