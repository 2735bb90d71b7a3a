"""A recipe or sweep as a user wrote it: its values, and where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value is in a document: `("corpus", "languages", 0)`."""


@dataclass
class Document:
    """A recipe or sweep as written: its values, and the line of each.

    Args:
        path: of the file; of a value from the command line, the option.
        values: as plain JSON values.
        kind: what the file is, for messages.
        lines: of the keys.
        overrides: the keys that are given elsewhere.
    """

    path: Path | str
    values: dict[str, Any]
    kind: str = "recipe"
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, Change] = field(default_factory=dict)

    def looks_like(self, kind: Literal["recipe", "sweep"]) -> bool:
        """Whether it is plainly a recipe (it has a corpus), or a sweep (it names a recipe, and arms with changes)."""
        if kind == "recipe":
            return "corpus" in self.values and "recipe" not in self.values
        return "corpus" not in self.values and "recipe" in self.values and isinstance(self.values.get("arms"), dict)

    @property
    def title(self) -> str:
        """For messages: `recipe recipes/demo.yaml`, with the sweep that changes it if there is one."""
        sweeps = {str(one.document.path): None for one in self.overrides.values() if one.document.kind == "sweep"}
        return " with the changes of ".join([f"{self.kind} {self.path}", *sweeps])

    def place(self, path: KeyPath) -> str:
        """`recipes/demo.yaml:12`, or where else the value was given; of what is in it or around it if need be."""
        change, rest = self._change(path)
        if change is not None:
            return change.document.place((*change.path, *rest))
        inside = (one for key, one in self.overrides.items() if path and key[: len(path)] == path)
        if path not in self.lines and (first := next(inside, None)) is not None:
            return first.document.place(first.path)
        parents = (path[:length] for length in range(len(path), 0, -1))
        line = next((self.lines[parent] for parent in parents if parent in self.lines), None)
        return str(self.path) if line is None else f"{self.path}:{line}"

    def written(self, path: KeyPath) -> str:
        """The key as it is written: `training.updates`; in a sweep, `arms.long.set.training.updates`."""
        change, rest = self._change(path)
        if change is None:
            return dotted(path)
        return dotted(change.path if change.whole else (*change.path, *rest))

    def place_of(self, mistake: str, section: KeyPath = ()) -> str:
        """The place of the key that a mistake begins with, as in `arms: lape-g: of: ...` or `evaluation.beam is 5`.

        Args:
            mistake: see `Mistakes`.
            section: that the key is in.
        """
        path, values = section, self._at(section)
        for part in mistake.split(": "):
            for key in part.split(" ")[0].replace("[", ".").replace("]", "").split("."):  # train[1]
                index = _index(values, key)
                if index is None:
                    return self.place(path)
                path, values = (*path, index), values[index]
            if " " in part:
                break
        return self.place(path)

    def _change(self, path: KeyPath) -> tuple[Change | None, KeyPath]:
        """What gave a value, and where in it that value is."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]], path[length:]
        return None, ()

    def _at(self, path: KeyPath) -> Any:
        values: Any = self.values
        for part in path:
            try:
                values = values[part]
            except (KeyError, IndexError, TypeError):
                return None
        return values


def _index(values: Any, key: str) -> str | int | None:
    """Where something is in values: a key of a mapping; of a list the number, or what has this name."""
    if isinstance(values, dict):
        return key if key in values else None
    if isinstance(values, list):
        names = [one.get("name") if isinstance(one, dict) else one for one in values]
        return names.index(key) if key in names else int(key) if key.isdecimal() and int(key) < len(names) else None
    return None


@dataclass(frozen=True, slots=True)
class Change:
    """A key of a recipe with another value, which is given elsewhere.

    Args:
        key: such as `training.updates`.
        value: as a plain JSON value.
        document: where it is given: a sweep, or an option of the command line.
        path: in the document.
        whole: nothing inside of the value stands in the document.
    """

    key: str
    value: Any
    document: Document
    path: KeyPath
    whole: bool = False


def dotted(path: KeyPath) -> str:
    """`corpus.languages.0`, as `--set` and messages have it."""
    return ".".join(map(str, path))
