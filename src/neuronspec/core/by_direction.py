"""A read-only mapping with one value per direction: what activations and masks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import DirectionError, nearest

Value = TypeVar("Value")


class ByDirection(Mapping[str, Value]):
    """Values by direction. Keys are `str` and sorted by source, then target; lookup takes `str` or `Direction`.

    Args:
        items: the values; keys are `str` or `Direction`.
        what: what the values are called in errors ("masks").

    Raises:
        DirectionError: on lookup of a direction that isn't there, with the nearest that is.
    """

    def __init__(self, items: Mapping[Any, Value], what: str) -> None:
        parsed = {Direction.parse(direction): value for direction, value in items.items()}
        self._items = {str(direction): parsed[direction] for direction in sorted(parsed)}
        self._what = what

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions, sorted."""
        return tuple(map(Direction.parse, self._items))

    def __getitem__(self, direction: DirectionLike) -> Value:
        name = str(Direction.parse(direction))
        if name not in self._items:
            raise DirectionError(
                f"no {self._what} for direction {name}; {nearest(name, self._items) or 'there are none'}"
            )
        return self._items[name]

    def __contains__(self, direction: object) -> bool:
        return str(direction) in self._items

    def get(self, direction: DirectionLike, default: Any = None) -> Any:
        """The value of a direction, or `default` where there is none."""
        return self._items.get(str(direction), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._items)})"
