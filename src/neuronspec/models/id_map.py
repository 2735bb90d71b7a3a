"""Which rows of a checkpoint's embeddings the ids of a changed vocabulary start from. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from neuronspec.core.errors import ModelError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json

ID_MAP = "id_map.json"
"""The file beside a tokenizer, or a model, whose vocabulary was changed."""

_FORMAT = 1


class _Content(TypedDict):
    """Of the file."""

    format: int
    rows: int
    ids: list[int | list[int]]
    parameters: NotRequired[list[int]]
    bytes: NotRequired[list[int]]


@dataclass(frozen=True)
class IdMap:
    """Which rows of a checkpoint's embeddings the ids of a changed vocabulary start from.

    Args:
        rows: of the checkpoint's table of embeddings.
        ids: by new id, the old one; for a new token those whose mean its embedding starts from.
        parameters: of the model before and after, where a model was changed by it.
        bytes: of its weights before and after.
    """

    rows: int
    ids: Sequence[int | tuple[int, ...]]
    parameters: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None

    @cached_property
    def new_ids(self) -> Mapping[int, int]:
        """By old id that is kept, the new one."""
        return {old: new for new, old in enumerate(self.ids) if isinstance(old, int)}

    @property
    def added(self) -> list[int]:
        """The ids of new tokens, ascending."""
        return [new for new, old in enumerate(self.ids) if not isinstance(old, int)]

    def after(self, first: IdMap) -> IdMap:
        """This change made after another, as one."""
        ids = [first.ids[one] if isinstance(one, int) else _flat(first.ids[each] for each in one) for one in self.ids]
        return IdMap(first.rows, ids)

    def facts(self) -> dict[str, list[int]]:
        """What there was and what there is now: ids, and where a model was changed its parameters and their bytes."""
        sizes = {"parameters": self.parameters, "bytes": self.bytes}
        return {"ids": [self.rows, len(self.ids)]} | {name: [*two] for name, two in sizes.items() if two is not None}

    def save(self, folder: Path) -> None:
        """Write it into the folder of a tokenizer or a model."""
        ids = [one if isinstance(one, int) else list(one) for one in self.ids]
        content: dict[str, object] = {"format": _FORMAT, "rows": self.rows, "ids": ids}
        write_json(folder / ID_MAP, content | {name: two for name, two in self.facts().items() if name != "ids"})

    @classmethod
    def load(cls, folder: Path) -> IdMap | None:
        """That of a folder; None if the vocabulary is as it was.

        Raises:
            ModelError: its file is damaged.
        """
        path = folder / ID_MAP
        if not path.exists():
            return None
        remedy = "remove the folder of the run's data and run again"
        content: _Content = read_json(path, _Content, remedy, error=ModelError)
        if content["format"] != _FORMAT:
            raise ModelError(f"{path}: format {content['format']} is another than {_FORMAT}; {remedy}")
        ids = [one if isinstance(one, int) else tuple(one) for one in content["ids"]]
        wrong = [each for one in ids for each in ((one,) if isinstance(one, int) else one or (-1,))
                 if not 0 <= each < content["rows"]]  # fmt: skip
        if wrong:
            raise ModelError(f"{path}: the checkpoint has no row {wrong[0]}; {remedy}")
        return cls(content["rows"], ids, _two(content.get("parameters")), _two(content.get("bytes")))


def _two(values: list[int] | None) -> tuple[int, int] | None:
    return None if values is None else (values[0], values[-1])


def _flat(many: Iterable[int | tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(each for one in many for each in ((one,) if isinstance(one, int) else one))
