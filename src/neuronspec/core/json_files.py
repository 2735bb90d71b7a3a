"""Reading the JSON that this software writes: whatever is in a file, there is one message that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from neuronspec.core.errors import NeuronspecError, RunError

Content = TypeVar("Content")


def read_json(
    path: Path, shape: type[Content] | Any, remedy: str, *, error: type[NeuronspecError] = RunError
) -> Content:
    """The content of a JSON file in UTF-8, checked against its shape.

    Args:
        path: of the file.
        shape: a pydantic model, a dataclass, a `TypedDict` or a type such as `dict[str, int]`.
        remedy: what the user can do where the file is missing or damaged: `"remove RUN/data to prepare it again"`.
        error: what is raised.

    Raises:
        NeuronspecError: of the kind `error`: the file can't be read, isn't JSON, is nested too deeply, has numbers that
            aren't finite, or has another shape; the message names the file, what is wrong, and the remedy.
    """
    try:
        return parse_json(path.read_bytes(), shape)
    except OSError as problem:
        raise error(f"{path} can't be read ({problem.strerror or problem}); {remedy}") from None
    except ValueError as problem:
        raise error(f"{path} is damaged ({problem}); {remedy}") from None


def parse_json(content: bytes | str, shape: type[Content] | Any) -> Content:
    """JSON text, checked against its shape.

    Raises:
        ValueError: it isn't JSON or has another shape; the message says what and where in a few words.
    """
    try:
        values = json.loads(content.decode("utf-8") if isinstance(content, bytes) else content, parse_constant=_refuse)
    except UnicodeDecodeError as problem:
        raise ValueError(f"not UTF-8: byte {problem.start + 1}") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"not JSON: {problem.msg}, line {problem.lineno}, column {problem.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if shape is Any:
        return values
    try:
        return TypeAdapter(shape).validate_python(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{place}: {str(first['msg']).removeprefix('Value error, ')}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
