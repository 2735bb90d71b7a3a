"""A read-only mapping with one value per direction: what activations and masks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from neuronspec.core.direction import Direction, DirectionLike, languages_of, match_task, nearest_directions, parse_task
from neuronspec.core.errors import DirectionError

Value = TypeVar("Value")


class ByDirection(Mapping[str, Value]):
    """Values by direction. Keys are `str` and sorted by source, then target; lookup takes `str` or `Direction`.

    A language alone (`"de"`, text without a translation) may stand in a direction's place. Lookup knows the languages
    in any spelling (`match_task`); keys are as they were given.

    Args:
        items: the values; keys are `str` or `Direction`.
        what: what the values are called in errors ("masks").

    Raises:
        DirectionError: on lookup of a direction that isn't there, with the nearest that is; or of what is none.
    """

    def __init__(self, items: Mapping[Any, Value], what: str) -> None:
        parsed = {parse_task(direction): value for direction, value in items.items()}
        self._items = {str(direction): parsed[direction] for direction in sorted(parsed)}
        self._what = what

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions, sorted."""
        return tuple(map(parse_task, self._items))

    def named(self, direction: DirectionLike) -> Direction:
        """A direction, there or not, with its languages as the keys spell them.

        Raises:
            DirectionError: it isn't one, or can be read in two ways.
        """
        return match_task(direction, languages_of(self.directions))

    def _key(self, direction: DirectionLike) -> str:
        name = str(direction)
        return name if name in self._items else str(self.named(direction))

    def __getitem__(self, direction: DirectionLike) -> Value:
        name = self._key(direction)
        if name not in self._items:
            listed = nearest_directions(parse_task(name), self._items) or "there are none"
            raise DirectionError(f"no {self._what} for direction {name}; {listed}")
        return self._items[name]

    def __contains__(self, direction: object) -> bool:
        if not isinstance(direction, (str, Direction)):
            return False
        try:
            return self._key(direction) in self._items
        except DirectionError:
            return False

    def get(self, direction: DirectionLike, default: Any = None) -> Any:
        """The value of a direction, or `default` where there is none."""
        return self[direction] if direction in self else default  # noqa: SIM401 - this is get

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._items)})"
