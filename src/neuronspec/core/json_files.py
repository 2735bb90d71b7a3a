"""Reading the JSON that this software writes: whatever is in a file, there is one message that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from neuronspec.core.errors import NeuronspecError, RunError
from neuronspec.core.files import no_regular_file
from neuronspec.core.wording import first_mistake

Content = TypeVar("Content")

LARGEST = 2**28
"""Bytes of a JSON file at most. The largest real ones, vocabularies and findings, have some ten megabytes."""

_ANY = (object, dict[str, Any])
"""Shapes of what others wrote, such as rows and configurations: its whole numbers may have more than 64 bits."""

LONGEST_INTEGER = 20
"""Characters of a whole number at most."""

DEEPEST = 100
"""Levels of nesting at most."""

_HALF_OF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(path: Path, shape: type[Content], remedy: str, *, error: type[NeuronspecError] = RunError) -> Content:
    """The content of a JSON file in UTF-8, checked against its shape.

    Args:
        path: of the file.
        shape: a pydantic model, a dataclass, a `TypedDict`, a type such as `dict[str, int]`, or `object` for any.
        remedy: what the user can do where the file is missing or damaged: `"remove RUN/data to prepare it again"`.
        error: what is raised.

    Raises:
        NeuronspecError: of the kind `error`: the file can't be read, isn't JSON, is nested too deeply, has numbers that
            aren't finite, or has another shape; the message names the file, what is wrong, and the remedy.
    """
    content = _read(path, remedy, error)
    try:
        return parse_json(content, shape)
    except ValueError as problem:
        raise error(f"{path} is damaged ({problem}); {remedy}") from None


def read_json_lines(
    path: Path, shape: type[Content], remedy: str, *, error: type[NeuronspecError] = RunError
) -> Iterator[Content]:
    """The lines of a file in which each is JSON, checked against the shape of a line.

    A last line that was cut off, by a process that was killed while it wrote, is left out.

    Args:
        path: of the file.
        shape: of a line; see `read_json`.
        remedy: as of `read_json`.
        error: what is raised.

    Raises:
        NeuronspecError: as of `read_json`; the message names the line, too.
    """
    lines = _read(path, remedy, error).split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield parse_json(line, shape)
        except ValueError as problem:
            reason = re.sub(r", line 1, column (\d+)$", r", column \1", str(problem))
            raise error(f"{path}:{number} is damaged ({reason}); {remedy}") from None


def parse_json(content: bytes | str, shape: type[Content]) -> Content:
    """JSON text, checked against its shape.

    Raises:
        ValueError: it isn't JSON or has another shape; the message says what and where in a few words.
    """
    values = _parse(content, int if shape in _ANY else _integer)
    if shape is object:
        return cast(Content, values)
    try:
        return TypeAdapter(shape).validate_python(values)
    except ValidationError as problem:
        raise ValueError(first_mistake(problem)) from None


def _read(path: Path, remedy: str, error: type[NeuronspecError]) -> bytes:
    """The bytes of a regular file of bounded size."""
    try:
        if path.exists() and (reason := no_regular_file(path)):
            raise error(f"{path} can't be read: {reason}; {remedy}")
        size = path.stat().st_size
        if size > LARGEST:
            raise error(f"{path} is damaged ({size:,} bytes, more than {LARGEST // 2**20} MiB); {remedy}")
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path} can't be read ({problem.strerror or problem}); {remedy}") from None


def _parse(content: bytes | str, parse_int: Callable[[str], int]) -> Any:
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        values = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=parse_int)
    except UnicodeDecodeError as problem:
        raise ValueError(f"not UTF-8: byte {problem.start + 1}") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg}, line {problem.lineno}, column {problem.colno}") from None
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    _check_depth(values)
    if _HALF_OF_A_PAIR.search(text):
        try:
            json.dumps(values, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("text with half of a surrogate pair, which is no character") from None
    return values


def _check_depth(values: Any) -> None:
    level = [values]
    for _ in range(DEEPEST):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {DEEPEST} levels deep")


class Number(str):
    """A number as it is written, of any size."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """The keys of a JSON object with their values, in their order, repeated ones as often as they are written."""


class NotJson(ValueError):
    """A text that isn't JSON.

    Args:
        message: what is wrong, and in which column, in a few words.
        line: in which line of the text.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


_ROWS = json.JSONDecoder(object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=Number)
"""Made once, as that takes longer than reading a row."""


def parse_row(text: str) -> object:
    """JSON of a user's, in which objects are `Pairs` and numbers are as they are written.

    Raises:
        NotJson: it isn't JSON, or nested too deeply.
    """
    try:
        return _ROWS.decode(text)
    except json.JSONDecodeError as problem:
        raise NotJson(f"not JSON: {problem.msg}, column {problem.colno}", problem.lineno) from None
    except RecursionError:
        raise NotJson("nested too deeply", 1) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _integer(text: str) -> int:
    """A number that libraries can hold in 64 bits."""
    number = int(text) if len(text) <= LONGEST_INTEGER else 2**63
    if abs(number) >= 2**63:
        raise ValueError(f"{text[:LONGEST_INTEGER]} is too large for a whole number")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number
