"""Training batches: which direction comes next, and which of its batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from neuronspec.batching.batch import Batch
from neuronspec.batching.collate import Layout, collate
from neuronspec.batching.plan import EpochPlan, plan_epoch
from neuronspec.batching.randomness import generator
from neuronspec.direction import Direction
from neuronspec.errors import TrainingError

ROUND = 128
"""Draws over which every direction gets its share to within one batch."""


class Pairs(Protocol):
    """The sentence pairs of a direction, as the token store gives them."""

    @property
    def source_lengths(self) -> np.ndarray: ...
    @property
    def target_lengths(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def tokens(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


class Store(Protocol):
    """What training needs of the token store (`neuronspec.corpus.store.TokenStore`)."""

    def directions(self, split: str) -> Sequence[Direction]: ...
    def pairs(self, split: str, direction: Direction) -> Pairs: ...


def sampling_probabilities(sizes: Mapping[Direction, int], temperature: float) -> dict[Direction, float]:
    """The probability of each direction, in proportion to `size ** (1 / temperature)`.

    Temperature 1 keeps the corpus as it is; a high one makes directions equal (Arivazhagan et al., 2019, section 4.2).
    """
    # Through logarithms relative to the largest, so that no size overflows.
    logs = np.log(np.array(list(sizes.values()), dtype=np.float64)) / temperature
    weights = np.exp(logs - logs.max())
    return dict(zip(sizes, (weights / weights.sum()).tolist(), strict=True))


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


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A batch, where it stands, and how much of it is padding.

    Args:
        batch: the tensors.
        epoch: of its direction, from 0.
        number: of the batch in that epoch, from 0.
        tokens: tokens of both sides that aren't padding.
        padded: tokens of both sides with padding.
    """

    batch: Batch
    epoch: int
    number: int
    tokens: int
    padded: int


class TrainingBatches:
    """An endless stream of micro-batches, one direction each, that can go on anywhere without replay.

    Directions are drawn by temperature; each direction goes through all its pairs once an epoch, in an order that
    depends on (seed, epoch, direction) alone. The state is the number of draws and, for each direction, its epoch
    and the number of the next batch.

    Raises:
        TrainingError: a direction has no training pairs.
    """

    def __init__(
        self,
        store: Store,
        directions: Sequence[Direction],
        layout: Layout,
        *,
        batch_tokens: int,
        temperature: float,
        seed: int,
    ) -> None:
        _check_directions(store, directions)
        self._pairs = {direction: store.pairs("train", direction) for direction in sorted(directions)}
        self._layout, self._batch_tokens, self._seed = layout, batch_tokens, seed
        self.sizes = {direction: len(pairs) for direction, pairs in self._pairs.items()}
        self.probabilities = sampling_probabilities(self.sizes, temperature)
        self._sampler = DirectionSampler(self.probabilities, seed)
        self._plans: dict[Direction, tuple[int, EpochPlan]] = {}
        self._places = dict.fromkeys(self._pairs, (0, 0))
        self.draws = 0

    def __iter__(self) -> TrainingBatches:
        return self

    def __next__(self) -> TrainingBatch:
        direction = self._sampler[self.draws]
        epoch, number = self._places[direction]
        plan = self._plan(direction, epoch)
        indices = plan[number]
        self._places[direction] = (epoch, number + 1) if number + 1 < len(plan) else (epoch + 1, 0)
        self.draws += 1
        pairs = self._pairs[direction]
        batch = collate(direction, [pairs.tokens(int(index)) for index in indices], self._layout)
        masks = batch.inputs["attention_mask"], batch.inputs["decoder_attention_mask"]
        tokens, padded = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
        return TrainingBatch(batch, epoch, number, tokens, padded)

    def _plan(self, direction: Direction, epoch: int) -> EpochPlan:
        if direction not in self._plans or self._plans[direction][0] != epoch:
            pairs = self._pairs[direction]
            plan = plan_epoch(
                pairs.source_lengths,
                pairs.target_lengths,
                batch_tokens=self._batch_tokens,
                seed=self._seed,
                epoch=epoch,
                direction=direction,
            )
            self._plans[direction] = epoch, plan
        return self._plans[direction][1]

    def batches_per_epoch(self) -> int:
        """Micro-batches that hold every pair of every direction once (by the plans of the first epoch)."""
        return sum(len(self._plan(direction, 0)) for direction in self._pairs)

    def passes(self) -> dict[Direction, float]:
        """How many times each direction's pairs have been seen, as a fraction of epochs."""
        return {
            direction: epoch + (number / len(self._plan(direction, epoch)) if number else 0.0)
            for direction, (epoch, number) in self._places.items()
        }

    def upsampling(self) -> dict[Direction, float]:
        """How much oftener a pair of the direction is seen than if directions were drawn by size."""
        total = sum(self.sizes.values())
        return {direction: self.probabilities[direction] * total / size for direction, size in self.sizes.items()}

    def volume(self) -> dict[Direction, tuple[int, int, int]]:
        """Pairs, source tokens and target tokens (without tags) of each direction."""
        return {
            direction: (len(pairs), int(pairs.source_lengths.sum()), int(pairs.target_lengths.sum()))
            for direction, pairs in self._pairs.items()
        }

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here, as plain JSON values."""
        places = {str(direction): list(place) for direction, place in self._places.items()}
        return {"draws": self.draws, "places": places}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.draws = int(state["draws"])
        for text, (epoch, number) in state["places"].items():
            self._places[Direction.parse(text)] = (int(epoch), int(number))


def _check_directions(store: Store, directions: Sequence[Direction]) -> None:
    available = set(store.directions("train"))
    empty = [str(one) for one in sorted(directions) if one not in available or not len(store.pairs("train", one))]
    if empty or not directions:
        raise TrainingError(
            f"no training pairs for {', '.join(empty) or 'any direction: none was named'}; "
            f"the data has {', '.join(map(str, sorted(available))) or 'none'}. "
            "Take them out of corpus.directions, or add text"
        )
