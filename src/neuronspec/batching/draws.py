"""Which pairs make up each micro-batch: pure functions of the seed and a small state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from neuronspec.batching.plan import EpochPlan, plan_epoch, plan_in_order
from neuronspec.core.direction import Direction, weight_problems
from neuronspec.core.errors import RecipeError
from neuronspec.core.randomness import generator
from neuronspec.corpus.mixture import Part, rows_of_epoch
from neuronspec.models.frames import OURS, Framing, Sides
from neuronspec.training.settings import ContinuationSettings, TrainingSettings

ROUND = 128
"""Draws over which every direction gets its share to within one batch."""

MIXED_WINDOW = 1 << 15
"""Pairs of all directions together that are sorted by length and cut into mixed batches."""


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


def sampling_probabilities(sizes: Mapping[Direction, int], temperature: float) -> dict[Direction, float]:
    """The probability of each direction, in proportion to `size ** (1 / temperature)`.

    Source: Arivazhagan et al. (2019), section 4.2.

    Args:
        sizes: pairs of each direction.
        temperature: 1 keeps the corpus as it is; a high one makes directions equal.

    Examples:
        >>> shares = sampling_probabilities({"en-de": 400, "en-af": 100}, temperature=2)
        >>> {direction: round(share, 3) for direction, share in shares.items()}
        {'en-de': 0.667, 'en-af': 0.333}
    """
    # Through logarithms relative to the largest, so that no size overflows.
    logs = np.log(np.array(list(sizes.values()), dtype=np.float64)) / temperature
    weights = np.exp(logs - logs.max())
    return dict(zip(sizes, (weights / weights.sum()).tolist(), strict=True))


def weighted_probabilities(directions: Sequence[Direction], weights: Mapping[str, float]) -> dict[Direction, float]:
    """The probability of each direction, in proportion to its weight.

    Args:
        directions: all that are trained.
        weights: by direction, for each of them.

    Raises:
        RecipeError: a direction has no weight, or a weight is of no direction.
    """
    problems = weight_problems(weights, directions)
    if problems:
        raise RecipeError(f"weights: {'; '.join(problems)}; give a weight to every trained direction")
    known = {Direction.parse(name): weight for name, weight in weights.items()}
    total = sum(known.values())
    return {one: known[one] / total for one in sorted(directions)}


def probabilities_of(
    sizes: Mapping[Direction, int], settings: TrainingSettings, replayed: Collection[Direction] = ()
) -> dict[Direction, float]:
    """The probability of each direction as a training section asks for it: by weight if it gives weights.

    Args:
        sizes: pairs of each direction.
        settings: of the training.
        replayed: those of them that share out `settings.replay` of the draws among themselves, by temperature.

    Raises:
        RecipeError: the weights aren't of these directions.
    """
    if replayed and isinstance(settings, ContinuationSettings):
        own = probabilities_of({one: size for one, size in sizes.items() if one not in replayed}, settings)
        others = sampling_probabilities({one: sizes[one] for one in sizes if one in replayed}, settings.temperature)
        share = settings.replay
        return {one: share * others[one] if one in others else (1 - share) * own[one] for one in sizes}
    if settings.weights is not None:
        return weighted_probabilities(list(sizes), settings.weights)
    return sampling_probabilities(sizes, settings.temperature)


class DirectionSampler:
    """Draws directions by probability; draw `n` is a pure function of the seed and `n`.

    Draws are stratified: in each round of `ROUND` draws a direction of probability p is drawn p * ROUND times to
    within one, in random order, which short trainings over many directions need to see all of them.
    """

    def __init__(self, probabilities: Mapping[Direction, float], seed: int) -> None:
        self.directions = list(probabilities)
        self._upper = np.cumsum(list(probabilities.values()))
        self._seed = seed
        self._round: tuple[int, np.ndarray] = (-1, np.zeros(0))

    def __getitem__(self, draw: int) -> Direction:
        """The direction of micro-batch number `draw`, counted from 0."""
        number, slot = divmod(draw, ROUND)
        if self._round[0] != number:
            random = generator(self._seed, "directions", number)
            points = (random.permutation(ROUND) + random.random()) / ROUND
            self._round = number, points
        place = int(np.searchsorted(self._upper, self._round[1][slot], side="right"))
        return self.directions[min(place, len(self.directions) - 1)]  # the sum may be 1 - 1e-16


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
        self._sampler = DirectionSampler(probabilities, seed)
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
        return {"draws": self._number, "places": places}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self._number = int(state["draws"])
        for text, (epoch, batch) in state["places"].items():
            self._places[Direction.parse(text)] = (int(epoch), int(batch))


class MixedDraws(Iterator[Draw]):
    """Micro-batches whose rows are of several directions.

    The stream of pairs is cut into windows of `MIXED_WINDOW` pairs, in which each direction has its share by
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
        return int(number * MIXED_WINDOW * self._probabilities[direction] + offset)

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
        return {"draws": self._number, "window": list(self._place)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        window, batch = state["window"]
        self._number, self._place = int(state["draws"]), (int(window), int(batch))
