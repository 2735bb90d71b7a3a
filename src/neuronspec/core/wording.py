"""What pydantic found wrong, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_WORDS = {
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern}",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping such as {{key: value}}",
    "mapping_type": "a mapping such as {{key: value}}",
    "model_type": "a section: a mapping such as {{key: value}}",
    "model_attributes_type": "a section: a mapping such as {{key: value}}",
    "dataclass_type": "a section: a mapping such as {{key: value}}",
    "invalid_key": "a mapping with text as keys",
    "path_type": "a path",
    "too_short": "a list with at least {min_length} of them",
    "too_long": "a list with at most {max_length} of them",
}
"""What a value should be, by pydantic's type of the error."""


def expected(problem: Mapping[str, Any]) -> str:
    """What the value of one of `ValidationError.errors()` should be: `a whole number`, `less than 1`."""
    if problem["type"] == "too_short" and problem["ctx"].get("field_type") == "Dictionary":
        return "a mapping such as {key: value}, with at least one key"
    words = _WORDS.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else message_of(problem).removeprefix("Input should be ")


def message_of(problem: Mapping[str, Any]) -> str:
    """The message of a problem, without what pydantic puts before those of our own checks."""
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def is_type_name(part: str | int) -> bool:
    """Whether a part of a location is no key but a type's name, which pydantic adds for unions of plain types."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "list[", "dict[", "tuple[", "function-", "constrained-"))
        or part in ("str", "int", "float")
    )


def shown(value: Any) -> str:
    """A value in a message; the beginning of a long one."""
    text = "null" if value is None else repr(value)  # as in YAML and JSON
    return text if len(text) <= 80 else f"{text[:77]}..."


def first_mistake(error: ValidationError) -> str:
    """The first mistake with its place: `counts.de is 'x' and should be a whole number`."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"] if not is_type_name(part))
    kind = problem["type"]
    if kind == "missing":
        return f"{place} is missing"
    if kind == "extra_forbidden":
        return f"{place} is an unknown key"
    if kind == "missing_name":
        return f"{place} is missing; {message_of(problem)}"
    if kind == "unknown_name":
        return f"{place} is {shown(problem['input'])}; {message_of(problem)}"
    if kind == "value_error":
        return f"{place}: {message_of(problem)}" if place else message_of(problem)
    wanted = expected(problem).removeprefix("a section: ")
    return f"{place or 'the whole'} is {shown(problem['input'])} and should be {wanted}"
