"""Which pairs make up each micro-batch: pure functions of the seed and a small state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from neuronspec.batching.plan import PAIRS_PER_TOKEN, EpochPlan, plan_epoch, plan_in_order
from neuronspec.batching.sampling import DrawnDirections
from neuronspec.core.direction import Direction
from neuronspec.core.randomness import generator
from neuronspec.corpus.mixture import Part, rows_of_epoch
from neuronspec.models.frames import OURS, Framing, Sides

ORDER = 3
"""Of the batches of an epoch; version 0.1 has no such key in its state, and smaller windows where batches are large."""

MIXED_WINDOW = 1 << 15
"""Pairs of all directions together that are sorted by length and cut into mixed batches; more for large batches."""


class Pairs(Protocol):
    """The sentence pairs of a direction, as the token store gives them."""

    @property
    def source_lengths(self) -> np.ndarray:
        """`[pairs]` ids per source, as the store has them."""

    @property
    def target_lengths(self) -> np.ndarray:
        """`[pairs]` ids per target, as the store has them."""

    def __len__(self) -> int:
        """Number of pairs."""

    def gather(self, indices: np.ndarray) -> Sides:
        """The ids of the sources and targets of some pairs."""


class TrainingPairs(Pairs, Protocol):
    """The training pairs of a direction."""

    @property
    def parts(self) -> Sequence[Part]:
        """Pairs and weight of each source, in their order; empty where sources have no weights."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A micro-batch before its tensors are made.

    Args:
        directions: those that rows may be of.
        indices: `[rows]` which pair of its direction each row is.
        number: among all draws, from 0.
        name: for messages.
        columns: `[rows]` which of the directions each row is of; None where there is only one.
    """

    directions: tuple[Direction, ...]
    indices: np.ndarray
    number: int
    name: str
    columns: np.ndarray | None = None

    def row_directions(self) -> tuple[Direction, ...]:
        """The direction of each row."""
        if self.columns is None:
            return self.directions * len(self.indices)
        return tuple([self.directions[column] for column in self.columns.tolist()])

    def by_direction(self) -> dict[Direction, tuple[np.ndarray, np.ndarray]]:
        """By direction: the places of its rows in the batch, and their pairs."""
        if self.columns is None:
            return {self.directions[0]: (np.arange(len(self.indices)), self.indices)}
        order = np.argsort(self.columns, kind="stable")
        ends = np.cumsum(np.bincount(self.columns, minlength=len(self.directions)))
        places = zip(self.directions, np.split(order, ends[:-1]), strict=True)
        return {one: (rows, self.indices[rows]) for one, rows in places if len(rows)}


def in_this_order(state: Mapping[str, Any]) -> bool:
    """Whether batches come in the order in which they came where the state was taken."""
    return state.get("order") == ORDER


class SeparateDraws(Iterator[Draw]):
    """Micro-batches of one direction each.

    Directions are drawn by `probabilities`; a direction's batches come in the order of its epoch's plan. The state is
    the number of draws and, for each direction, its epoch and the number of its next batch.
    """

    def __init__(
        self,
        pairs: Mapping[Direction, TrainingPairs],
        probabilities: Mapping[Direction, float],
        batch_tokens: int,
        seed: int,
        framing: Framing = OURS,
    ) -> None:
        self._pairs, self._batch_tokens, self._seed, self._framing = pairs, batch_tokens, seed, framing
        self._sampler = DrawnDirections(probabilities, seed)
        self._plans: dict[Direction, tuple[int, EpochPlan]] = {}
        self._places = dict.fromkeys(pairs, (0, 0))
        self._number = 0

    def __next__(self) -> Draw:
        direction = self._sampler[self._number]
        epoch, batch = self._places[direction]
        plan = self._plan(direction, epoch)
        self._places[direction] = (epoch, batch + 1) if batch + 1 < len(plan) else (epoch + 1, 0)
        self._number += 1
        name = f"{direction} (epoch {epoch}, batch {batch})"
        return Draw((direction,), plan[batch], self._number - 1, name)

    def _plan(self, direction: Direction, epoch: int) -> EpochPlan:
        if direction not in self._plans or self._plans[direction][0] != epoch:
            pairs = self._pairs[direction]
            sources, targets = pairs.source_lengths, pairs.target_lengths
            rows = rows_of_epoch(pairs.parts, direction, self._seed, epoch) if pairs.parts else None
            plan = plan_epoch(
                sources if rows is None else sources[rows],
                targets if rows is None else targets[rows],
                batch_tokens=self._batch_tokens,
                seed=self._seed,
                epoch=epoch,
                direction=direction,
                framing=self._framing,
            )
            self._plans[direction] = epoch, plan if rows is None else EpochPlan(rows[plan.order], plan.starts)
        return self._plans[direction][1]

    def batches(self) -> dict[Direction, int]:
        """Micro-batches that hold every pair of a direction once (by the plan of the first epoch)."""
        return {direction: len(self._plan(direction, 0)) for direction in self._pairs}

    def per_epoch(self, directions: Collection[Direction]) -> int:
        """Micro-batches that hold every pair of some directions once."""
        return sum(number for direction, number in self.batches().items() if direction in directions)

    def passes(self) -> dict[Direction, float]:
        """Passes over the pairs of each direction so far, in epochs."""
        return {
            direction: epoch + (batch / len(self._plan(direction, epoch)) if batch else 0.0)
            for direction, (epoch, batch) in self._places.items()
        }

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as plain JSON values."""
        places = {str(direction): list(place) for direction, place in self._places.items()}
        return {"draws": self._number, "places": places, "order": ORDER}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken; in another order of batches, from the beginning of the epoch."""
        self._number = int(state["draws"])
        known = in_this_order(state)
        for text, (epoch, batch) in state["places"].items():
            self._places[Direction.parse(text)] = (int(epoch), int(batch) if known else 0)


class MixedDraws(Iterator[Draw]):
    """Micro-batches whose rows are of several directions.

    The stream of pairs is cut into windows of `MIXED_WINDOW` pairs or more, in which each direction has its share by
    `probabilities`; a window is sorted by length, cut into batches and shuffled. A direction gives its pairs in the
    order of its epoch's permutation. The state is the number of the window and of the next batch in it.
    """

    def __init__(
        self,
        pairs: Mapping[Direction, TrainingPairs],
        probabilities: Mapping[Direction, float],
        batch_tokens: int,
        seed: int,
        framing: Framing = OURS,
    ) -> None:
        self._pairs, self._probabilities = pairs, probabilities
        self._batch_tokens, self._seed, self._framing = batch_tokens, seed, framing
        self._directions = tuple(pairs)
        self._orders: dict[tuple[Direction, int], np.ndarray] = {}
        self._window: tuple[int, list[tuple[np.ndarray, np.ndarray]]] = (-1, [])
        self._place = (0, 0)
        self._number = 0

    def __next__(self) -> Draw:
        number, batch = self._place
        batches = self._batches(number)
        places, indices = batches[batch]
        self._place = (number, batch + 1) if batch + 1 < len(batches) else (number + 1, 0)
        self._number += 1
        name = f"mixed directions (window {number}, batch {batch})"
        return Draw(self._directions, indices, self._number - 1, name, places)

    def _batches(self, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The batches of a window: for each row the place of its direction, and its pair."""
        if self._window[0] != number:
            random = generator(self._seed, "mixed window", number)
            parts = [self._taken(direction, number) for direction in self._directions]
            # Shuffled, since sorting keeps pairs of equal length in order, direction after direction.
            shuffled = random.permutation(sum(map(len, parts)))
            places = np.repeat(np.arange(len(parts)), [len(part) for part in parts])[shuffled]
            indices = np.concatenate(parts)[shuffled]
            sources, targets = (self._lengths(side, parts) for side in ("source_lengths", "target_lengths"))
            plan = plan_in_order(sources[shuffled], targets[shuffled], self._batch_tokens, self._framing)
            order = random.permutation(len(plan))
            batches = [(places[rows], indices[rows]) for rows in (plan[int(batch)] for batch in order)]
            self._window = number, batches
        return self._window[1]

    def _lengths(self, side: str, parts: Sequence[np.ndarray]) -> np.ndarray:
        pairs = zip(self._directions, parts, strict=True)
        return np.concatenate([getattr(self._pairs[direction], side)[part] for direction, part in pairs])

    def _taken(self, direction: Direction, number: int) -> np.ndarray:
        """The indices of a direction's pairs in a window."""
        size = len(self._pairs[direction])
        counted = np.arange(self._seen(direction, number), self._seen(direction, number + 1))
        epochs = counted // size
        taken = counted % size
        for epoch in np.unique(epochs):
            rows = epochs == epoch
            taken[rows] = self._order(direction, int(epoch))[taken[rows]]
        return taken

    def _seen(self, direction: Direction, number: int) -> int:
        """How many pairs of a direction the windows before `number` hold: its share, rounded by a random offset."""
        offset = generator(self._seed, "mixed share", str(direction)).random()
        return int(number * self._window_size() * self._probabilities[direction] + offset)

    def _window_size(self) -> int:
        return max(MIXED_WINDOW, PAIRS_PER_TOKEN * self._batch_tokens)

    def _order(self, direction: Direction, epoch: int) -> np.ndarray:
        """The permutation of a direction's pairs in an epoch; the last two are kept."""
        key = (direction, epoch)
        if key not in self._orders:
            parts = self._pairs[direction].parts
            order = generator(self._seed, "mixed order", str(direction), epoch).permutation(len(self._pairs[direction]))
            self._orders[key] = rows_of_epoch(parts, direction, self._seed, epoch)[order] if parts else order
            self._orders.pop((direction, epoch - 2), None)
        return self._orders[key]

    def per_epoch(self, directions: Collection[Direction]) -> int:
        """About as many micro-batches as hold every pair of some directions: as full as those of the first window."""
        pairs = sum(len(self._pairs[direction]) for direction in directions)
        return max(1, round(pairs * len(self._batches(0)) / sum(len(indices) for _, indices in self._batches(0))))

    def passes(self) -> dict[Direction, float]:
        """Passes over the pairs of each direction so far, in epochs."""
        number, batch = self._place
        batches = self._batches(number) if batch else []
        counts = np.bincount(
            np.concatenate([np.zeros(0, dtype=np.int64), *(places for places, _ in batches[:batch])]),
            minlength=len(self._directions),
        )
        return {
            direction: (self._seen(direction, number) - self._seen(direction, 0) + int(count))
            / len(self._pairs[direction])
            for direction, count in zip(self._directions, counts, strict=True)
        }

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as plain JSON values."""
        return {"draws": self._number, "window": list(self._place), "order": ORDER}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken; in another order of batches, from the beginning of the window."""
        self._number, (window, batch) = int(state["draws"]), map(int, state["window"])
        same = in_this_order(state)
        self._place = (window, batch) if same else (window * MIXED_WINDOW // self._window_size(), 0)
