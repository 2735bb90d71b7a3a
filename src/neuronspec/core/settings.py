"""Reading a recipe's YAML with line numbers, and telling every mistake in it at once."""

from __future__ import annotations

import copy
import re
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from neuronspec.core.errors import RecipeError, nearest
from neuronspec.core.registry import ByName

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _pattern_from_recipe_folder(pattern: str, info: ValidationInfo) -> str:
    """Relative paths in a recipe start at the recipe's folder."""
    folder = (info.context or {}).get("folder")
    expanded = Path(pattern).expanduser()
    return str((Path(folder) / expanded).resolve()) if folder else str(expanded)


def _from_recipe_folder(path: Path, info: ValidationInfo) -> Path:
    resolved = Path(_pattern_from_recipe_folder(str(path), info))
    if (info.context or {}).get("check_files") and not resolved.exists():
        raise ValueError(f"no such file or folder: {resolved}")
    return resolved


RecipePattern = Annotated[str, AfterValidator(_pattern_from_recipe_folder)]
RecipePath = Annotated[Path, AfterValidator(_from_recipe_folder)]


class Section(BaseModel):
    """A part of the recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `no` is a language and not false, `5e-4` is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in resolvers if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$"),
    list("-+0123456789."),
)


@dataclass
class Document:
    """A recipe as written: its values, and the line of each."""

    path: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def place(self, path: KeyPath) -> str:
        """`recipes/demo.yaml:12`, or the `--set` that gave the value; of the nearest parent if need be."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return f"--set {self.overrides[path[:length]]}"
            if path[:length] in self.lines:
                return f"{self.path}:{self.lines[path[:length]]}"
        return str(self.path)


def load_yaml(path: Path, overrides: list[str]) -> Document:
    """Read a recipe file and apply `section.key=value` overrides.

    Raises:
        RecipeError: the file can't be read, isn't a YAML mapping, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise RecipeError(f"{path}:{line}: the recipe isn't valid UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise RecipeError(
            f"recipe {path}: {error.strerror or error}; give the path of a recipe such as recipes/demo.yaml"
        ) from None
    document = Document(path, {})
    values = _parse(text, document)
    if not isinstance(values, dict):
        raise RecipeError(
            f"{path}: a recipe is a mapping of sections (name, corpus, training, ...), not {type(values).__name__}"
        )
    document.values = values
    for override in overrides:
        _apply(document, override)
    return document


def explain(model: type[Model], document: Document, context: dict[str, Any] | None = None) -> Model:
    """Validate `document` as `model`.

    Raises:
        RecipeError: one line a mistake: place, key, what is wrong, the nearest valid key.
    """
    try:
        return model.model_validate(document.values, context=context)
    except ValidationError as error:
        lines = _all_mistakes(model, document, error)
    count = f"{len(lines)} mistake{'s' if len(lines) > 1 else ''} in the recipe {document.path}:"
    raise RecipeError("\n".join([count, *(f"  {line}" for line in sorted(lines, key=_line_number))]))


def _all_mistakes(model: type[BaseModel], document: Document, error: ValidationError) -> list[str]:
    """The lines for all mistakes. A wrong key hides the checks of its whole section: take it out and look again."""
    lines: list[str] = []
    values = copy.deepcopy(document.values)
    removed: set[KeyPath] = set()
    doubtful: set[KeyPath] = set()  # sections that miss a value because it was wrong
    while True:
        for item in error.errors():
            path, _ = _walk(model, document.values, item["loc"])
            if path in removed or (item["type"] == "value_error" and path in doubtful):
                continue
            lines.append(_explain_one(model, document, dict(item)))
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
        if all(_walk(model, document.values, item["loc"])[0] in removed | doubtful for item in error.errors()):
            return lines


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


def _parse(text: str, document: Document) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise RecipeError(f"{document.path}: the recipe is empty")
        _note_lines(node, (), document)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{document.path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{document.path}: not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _note_lines(node: yaml.Node, path: KeyPath, document: Document) -> None:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            if here in document.lines:
                where = f"{document.path}:{key.start_mark.line + 1}"
                raise RecipeError(
                    f"{where}: the key {_dotted(here)!r} is given twice (first on line {document.lines[here]})"
                )
            document.lines[here] = key.start_mark.line + 1
            _note_lines(value, here, document)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*path, index), document)


def parse_override(override: str) -> tuple[str, Any]:
    """The key and the value of `section.key=value`, as given with `--set`.

    Raises:
        RecipeError: it isn't of that form.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise RecipeError(f"--set {override}: expected section.key=value, such as training.updates=200")
    return key.strip(), _parse(text, Document(Path(f"--set {override}"), {})) if text.strip() else None


def _apply(document: Document, override: str) -> None:
    key, value = parse_override(override)
    parts = key.split(".")
    target = document.values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise RecipeError(f"--set {override}: {part!r} is a value, not a section")
    section = target.get(parts[-1])
    if isinstance(section, dict) and "path" in section and isinstance(value, str):
        section["path"] = value  # `--set corpus.train=FILE` is short for `--set corpus.train.path=FILE`
    else:
        target[parts[-1]] = value
    document.overrides[tuple(parts)] = override


def _explain_one(model: type[BaseModel], document: Document, item: dict[str, Any]) -> str:
    path, section = _walk(model, document.values, item["loc"])
    place, key = document.place(path), _dotted(path)
    kind = item["type"]
    if kind == "extra_forbidden":
        hint = nearest(str(path[-1]), section.model_fields) if section else ""
        return f"{place}: unknown key {key!r}; {hint}"
    if kind == "missing":
        return f"{place}: the key {key!r} is missing"
    if kind == "missing_name":
        return f"{place}: the key {key!r} is missing; {item['msg']}"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "unknown_name":
        return f"{place}: {key} is {item['input']!r}; {message}"
    if kind == "value_error":
        return f"{place}: {key}: {message}" if key else f"{place}: {message}"
    return f"{place}: {key} is {item['input']!r}; it should be {message}"


def _walk(model: type[BaseModel], values: Any, loc: KeyPath) -> tuple[KeyPath, type[BaseModel] | None]:
    """The path as the user wrote it (names of types left out), and the section that holds its last key."""
    path: list[str | int] = []
    section: type[BaseModel] | None = model
    inside: type[BaseModel] | None = model
    for part in loc:
        if _is_type_name(part):
            continue
        path.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
        if inside is not None:
            section, inside = inside, _section_of(inside.model_fields.get(str(part)), values)
    return tuple(path), section


def _section_of(info: FieldInfo | None, values: Any) -> type[BaseModel] | None:
    """The section that a key of a section holds; None where it holds a plain value."""
    if info is None:
        return None
    by_name = [mark for mark in info.metadata if isinstance(mark, ByName)]
    if by_name:
        return by_name[0].section(values)
    models = _models(info.annotation)
    return models[0] if len(models) == 1 else None


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_type_name(part: str | int) -> bool:
    """Pydantic adds such names to the location for unions of plain types."""
    return isinstance(part, str) and (
        part.startswith(("literal[", "list[", "function-", "constrained-")) or part in ("str", "int", "float")
    )


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows."""
    if _is_section(annotation):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [model for part in get_args(annotation) for model in _models(part)]
    return []


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
