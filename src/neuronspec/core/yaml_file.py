"""Recipes and sweeps as YAML: values with the line of each, and `--set` on top."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from neuronspec.core.errors import RecipeError

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value is in a document: `("corpus", "languages", 0)`."""


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
                    f"{where}: the key {dotted(here)!r} is given twice (first on line {document.lines[here]})"
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


def dotted(path: KeyPath) -> str:
    """`corpus.languages.0`, as `--set` and messages have it."""
    return ".".join(map(str, path))
