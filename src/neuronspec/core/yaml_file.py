"""Recipes and sweeps as YAML: values with the line of each, and `--set` on top."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from neuronspec.core.errors import RecipeError
from neuronspec.core.written import Change, Document, KeyPath, dotted

LARGEST = 2**20
"""Bytes of a recipe at most. The largest real ones have a few kilobytes."""

MOST_NODES = 100_000
"""Values in a recipe at most, with what aliases repeat."""

DEEPEST = 50
"""Levels of nesting at most."""

LONGEST_NUMBER = 100
"""Characters of a number at most."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars: `no` is a language and not false, `5e-4` and `010` are numbers; dates and times are text."""


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.removeprefix(_TAG) not in ("bool", "int", "float", "timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader`, or a reader of YAML 1.1, would take for something else than text."""


_FLOAT = r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.inf|\.nan)$"
_INT = r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"
for _each in (_Loader, _Dumper):
    _each.add_implicit_resolver(f"{_TAG}float", re.compile(_FLOAT), list("-+0123456789."))
    _each.add_implicit_resolver(f"{_TAG}int", re.compile(_INT), list("-+0123456789"))


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.add_constructor(f"{_TAG}int", _whole_number)


def load_yaml(path: Path, overrides: Sequence[str | Change] = (), kind: str = "recipe") -> Document:
    """Read a recipe or sweep file and change some keys.

    Args:
        path: of the file.
        overrides: the changes, as given with `--set` (`section.key=value`) or elsewhere.
        kind: what the file is, for messages.

    Raises:
        RecipeError: the file can't be read, isn't a YAML mapping, or names a key twice.
    """
    document = Document(path, {}, kind)
    values = _parse(_read(path, kind), document)
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a {kind} is a mapping of keys and their values, not {type(values).__name__}")
    document.values = values
    for override in overrides:
        _apply(document, option_change(override) if isinstance(override, str) else override)
    return document


def _read(path: Path, kind: str) -> str:
    """The text of a recipe or sweep: a regular file of bounded size in UTF-8, with or without a byte order mark."""
    example = " (neuronspec init demo writes one)" if kind == "recipe" else ""
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise RecipeError(f"{kind} {path}: it is {what}; give the path of a {kind}{example}")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise RecipeError(f"{kind} {path}: {error.strerror or error}; give the path of a {kind}{example}") from None
    if len(content) > LARGEST:
        raise RecipeError(f"{kind} {path}: larger than {LARGEST // 2**20} MiB, so it can't be a {kind}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RecipeError(f"{path}:{line}: the {kind} isn't valid UTF-8; save it as UTF-8") from None


def _parse(text: str, document: Document) -> Any:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)  # refuses control characters
        node = loader.get_single_node()
        if node is None:
            raise RecipeError(f"{document.path}: the {document.kind} is empty")
        _check_size(node, document)
        _note_lines(node, (), document)
        return _unshared(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{document.path}:{line}: not valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise RecipeError(f"{document.path}:{line}: not valid YAML: the character {error.character!r}") from None
    except RecursionError:
        raise RecipeError(
            f"{document.path}: nested more than {DEEPEST} levels deep, so it can't be a {document.kind}"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _unshared(value: Any) -> Any:
    """The value with a copy in every place of an alias, so that changing one of them leaves the others."""
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def _check_size(root: yaml.Node, document: Document) -> None:
    """Refuse what is too deep or, written out without aliases, too large; and values that contain themselves."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        line = f"{document.path}:{node.start_mark.line + 1}"
        if id(node) in open_nodes:
            raise RecipeError(f"{line}: a value that contains itself (an alias of its own anchor)")
        if depth > DEEPEST:
            raise RecipeError(f"{line}: nested more than {DEEPEST} levels deep, so it can't be a recipe")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            nested = [] if isinstance(node, yaml.ScalarNode) else parts
            sizes[id(node)] = 1 + sum(size(part, depth + 1) for part in nested)
            open_nodes.discard(id(node))
        if sizes[id(node)] > MOST_NODES:
            raise RecipeError(f"{line}: more than {MOST_NODES:,} values with its aliases, so it can't be a recipe")
        return sizes[id(node)]

    size(root, 0)


def _note_lines(node: yaml.Node, path: KeyPath, document: Document) -> None:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = f"{document.path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
                written = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise RecipeError(f"{where}: a key must be text, not {written}; put it in quotes")
            here = (*path, key.value)
            if here in document.lines:
                raise RecipeError(
                    f"{where}: the key {dotted(here)!r} is given twice (first on line {document.lines[here]})"
                )
            document.lines[here] = key.start_mark.line + 1
            _note_lines(value, here, document)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*path, index), document)
    else:
        _check_scalar(node, path, document)


def _check_scalar(node: yaml.Node, path: KeyPath, document: Document) -> None:
    """Refuse scalars that can't be constructed, such as `!!float abc`, with their line."""
    where = f"{document.path}:{node.start_mark.line + 1}: {dotted(path) or 'the value'}"
    kind = node.tag.removeprefix(_TAG)
    if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
        raise RecipeError(f"{where}: a number of {len(node.value):,} characters")
    if kind not in ("str", "int", "float", "bool", "null"):
        raise RecipeError(
            f"{where}: the tag {node.tag.replace(_TAG, '!!')!r} isn't used in recipes; write plain values"
        )
    try:
        _Loader("").construct_object(node)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise RecipeError(f"{where}: {node.value[:60]!r} can't be read as !!{kind}") from None


def dump_yaml(values: dict[str, Any]) -> str:
    """Plain values as YAML that `load_yaml` reads back as they are."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def parse_override(override: str) -> tuple[str, Any]:
    """The key and the value of `section.key=value`, as given with `--set`.

    Raises:
        RecipeError: it isn't of that form.
    """
    key, equals, text = override.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise RecipeError(f"--set {override}: expected section.key=value, such as training.updates=200")
    return key.strip(), _parse(text, Document(f"--set {override}", {})) if text.strip() else None


def option_change(text: str) -> Change:
    """What `--set` gave.

    Raises:
        RecipeError: it isn't `section.key=value`.
    """
    key, value = parse_override(text)
    return Change(key, value, Document(f"--set {text}", {}), tuple(key.split(".")))


def _apply(document: Document, change: Change) -> None:
    parts, value = change.key.split("."), copy.deepcopy(change.value)
    target = document.values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise RecipeError(f"{change.document.place(change.path)}: {part!r} is a value, not a section")
    section = target.get(parts[-1])
    if isinstance(section, dict) and "path" in section and isinstance(value, str):
        section["path"] = value  # `--set corpus.train=FILE` is short for `--set corpus.train.path=FILE`
    else:
        target[parts[-1]] = value
    document.overrides[tuple(parts)] = change
