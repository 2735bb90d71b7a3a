"""What is wrong in a recipe: every mistake at once, each with its place, the value and the nearest valid name."""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from neuronspec.core.errors import Mistakes, RecipeError, nearest
from neuronspec.core.registry import ByName
from neuronspec.core.wording import expected, is_type_name, message_of, shown
from neuronspec.core.written import Document, KeyPath

Model = TypeVar("Model", bound=BaseModel)

_KEY = "[key]"
"""What pydantic adds to the place of a mapping's key that is wrong."""


def explain(
    model: type[Model], document: Document, context: dict[str, Any] | None = None, known: Iterable[str] = ()
) -> Model:
    """Validate `document` as `model`.

    Args:
        model: what it should be.
        document: as it was read.
        context: for the validators.
        known: lines for mistakes that were found before.

    Raises:
        RecipeError: one line a mistake: place, key, what is wrong, the nearest valid key.
    """
    lines = [*known]
    try:
        made = model.model_validate(document.values, context=context)
    except ValidationError as error:
        lines += _all_mistakes(model, document, error)
    else:
        if not lines:
            return made
    raise _listed(document, lines)


def located(document: Document, found: Mistakes) -> RecipeError:
    """Mistakes that were found after a recipe was read, told as `explain` tells those that it finds.

    Args:
        document: the recipe as it was read.
        found: the mistakes.
    """
    return _listed(document, [f"{document.place_of(text)}: {text}" for text in found.args])


def _listed(document: Document, lines: Iterable[str]) -> RecipeError:
    lines = sorted(dict.fromkeys(lines), key=_line_number)
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''} in the {document.title}:"
    return RecipeError("\n".join([count, *(f"  {line}" for line in lines)]))


def _all_mistakes(model: type[BaseModel], document: Document, error: ValidationError) -> list[str]:
    """The lines for all mistakes. A wrong key hides the checks of its whole section: take it out and look again."""
    lines: list[str] = []
    values = copy.deepcopy(document.values)
    removed: set[KeyPath] = set()
    doubtful: set[KeyPath] = set()  # sections that miss a value because it was wrong
    while True:
        for path, items in _by_path(model, document, error).items():
            item = items[0]
            if path in removed or (item["type"] == "value_error" and path in doubtful):
                continue
            lines += _explain_one(model, document, items)
            removed.add(path)
            if item["type"] != "value_error":
                _remove(values, path)
            if item["type"] != "extra_forbidden":
                doubtful.add(path[:-1])
        try:
            model.model_validate(values)
        except ValidationError as further:
            error = further
        else:
            return lines
        if _by_path(model, document, error).keys() <= removed | doubtful:
            return lines


def _by_path(model: type[BaseModel], document: Document, error: ValidationError) -> dict[KeyPath, list[dict[str, Any]]]:
    """The mistakes of each value. A value that may be of several types has one for each.

    Where one type found a mistake inside of the value, that type was meant.
    """
    found: dict[KeyPath, list[dict[str, Any]]] = {}
    for item in error.errors():
        found.setdefault(_walk(model, document.values, item["loc"])[0], []).append(dict(item))
    inner = {path[:end] for path in found for end in range(len(path))}
    return {path: items for path, items in found.items() if path not in inner}


def _remove(values: Any, path: KeyPath) -> None:
    for part in path[:-1]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return
    if path and isinstance(values, dict):
        values.pop(path[-1], None)


def _line_number(line: str) -> int:
    found = re.search(r":(\d+): ", line)
    return int(found.group(1)) if found else 0


def _explain_one(model: type[BaseModel], document: Document, items: list[dict[str, Any]]) -> list[str]:
    """The lines for one value, or for the checks of a section."""
    # Of several types, the one whose form the value has was meant.
    item = next((one for one in items if one["type"] == "value_error"), items[0])
    path, section = _walk(model, document.values, item["loc"])
    if item["type"] == "value_error":
        error = item["ctx"]["error"]
        texts = error.args if isinstance(error, Mistakes) else [message_of(item)]
        above = [document.written(path)] if path else []
        return [f"{document.place_of(text, path)}: {': '.join([*above, text])}" for text in texts]
    return [_explain_value(document, path, section, items)]


def _explain_value(
    document: Document, path: KeyPath, section: type[BaseModel] | None, items: list[dict[str, Any]]
) -> str:
    item, kind = items[0], items[0]["type"]
    place, key = document.place(path), document.written(path)
    if kind == "extra_forbidden":
        hint = nearest(str(path[-1]), section.model_fields) if section else ""
        return f"{place}: unknown key {key!r}; {hint}"
    if kind == "missing":
        return f"{place}: the key {key!r} is missing"
    if kind == "missing_name":
        return f"{place}: the key {key!r} is missing; {item['msg']}"
    if item["loc"][-1:] == (_KEY,):
        return f"{place}: unknown key {key!r}; it should be {expected(item)}"
    message = message_of(item)
    if kind == "unknown_name":
        return f"{place}: {key} is {shown(item['input'])}; {message}"
    return f"{place}: {key} is {shown(item['input'])}; it should be {', or '.join(dict.fromkeys(map(expected, items)))}"


def _walk(model: type[BaseModel], values: Any, loc: KeyPath) -> tuple[KeyPath, type[BaseModel] | None]:
    """The path as the user wrote it (names of types left out), and the section that holds its last key."""
    path: list[str | int] = []
    section: type[BaseModel] | None = model
    inside: type[BaseModel] | None = model
    info: FieldInfo | None = None
    for part in loc:
        if is_type_name(part) or part == _KEY:
            continue
        path.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
        if inside is not None:
            info = inside.model_fields.get(str(part))
            section, inside = inside, _section_of(info, values)
        else:
            inside = _section_of(info, values, of_elements=True)
    return tuple(path), section


def _section_of(info: FieldInfo | None, values: Any, of_elements: bool = False) -> type[BaseModel] | None:
    """The section that a key of a section holds, or each element of what it holds; None where that is a plain value."""
    if info is None:
        return None
    by_name = [mark for mark in info.metadata if isinstance(mark, ByName)]
    if by_name:
        return None if isinstance(values, list) else by_name[0].section(values)
    models = _element_models(info.annotation) if of_elements else _models(info.annotation)
    return models[0] if len(models) == 1 else None


def _element_models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that the elements of a list or the values of a mapping may be."""
    parts = get_args(annotation)
    if get_origin(annotation) in (list, tuple, dict):
        return [model for part in parts for model in _models(part)]
    return [model for part in parts for model in _element_models(part)]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows."""
    if _is_section(annotation):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [model for part in get_args(annotation) for model in _models(part)]
    return []
