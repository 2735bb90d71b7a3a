"""The batches of one direction and epoch: which pairs are batched together, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neuronspec.core.direction import Direction
from neuronspec.core.randomness import generator
from neuronspec.models.frames import OURS, Framing

WINDOW = 65_536
"""Pairs that are sorted by length together. A corpus that is larger is shuffled into windows of this many first."""

PAIRS_PER_TOKEN = 8
"""Where batches are large, so many pairs for each token of a batch are: a window is then of a few hundred batches."""


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """Every pair of a direction once, cut into batches.

    Args:
        order: `[pairs]` indices of pairs (int32), batch after batch.
        starts: `[batches + 1]` where each batch starts in `order`; the last entry is the number of pairs.
    """

    order: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        """The indices of the pairs of batch `number`."""
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} of a plan with {len(self)} batches")
        return self.order[self.starts[number] : self.starts[number + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))


def plan_epoch(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    batch_tokens: int,
    seed: int,
    epoch: int,
    direction: Direction,
    window: int | None = None,
    framing: Framing = OURS,
) -> EpochPlan:
    """Batches of pairs of similar length, a pure function of its arguments.

    The pairs are shuffled, cut into windows, sorted by length within each window and cut into batches; the batches
    of a window are shuffled again. A batch holds at most `batch_tokens` padded tokens of its longer side; a pair
    that is longer than that alone is a batch of its own.

    Args:
        source_lengths: `[pairs]` ids, without what `framing` counts.
        target_lengths: the same of the targets.
        batch_tokens: padded tokens of the longer side per batch; of both, where they are one sequence.
        seed: of the shuffling.
        epoch: number of the pass over the pairs, from 0.
        direction: of the pairs.
        window: pairs that are sorted by length together; by default `WINDOW`, or more for large batches.
        framing: what a pair has beside its ids.
    """
    window = window or max(WINDOW, PAIRS_PER_TOKEN * batch_tokens)
    random = generator(seed, "plan", str(direction), epoch)
    order = _indices(len(source_lengths))
    random.shuffle(order)
    sizes: list[int] = []
    for first in range(0, len(order), window):
        batches = _cut(order[first : first + window], source_lengths, target_lengths, batch_tokens, framing)
        batches = [batches[number] for number in random.permutation(len(batches))]
        order[first : first + window] = np.concatenate(batches)
        sizes += map(len, batches)
    return EpochPlan(order, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))))


def plan_in_order(
    source_lengths: np.ndarray, target_lengths: np.ndarray, batch_tokens: int, framing: Framing = OURS
) -> EpochPlan:
    """Batches from the shortest pairs to the longest, without any shuffling: for validation and recording.

    Args:
        source_lengths: `[pairs]` ids, without what `framing` counts.
        target_lengths: the same of the targets.
        batch_tokens: padded tokens of the longer side per batch; of both, where they are one sequence.
        framing: what a pair has beside its ids.
    """
    batches = _cut(_indices(len(source_lengths)), source_lengths, target_lengths, batch_tokens, framing)
    joined = np.concatenate([_indices(0), *batches])
    sizes = [len(batch) for batch in batches]
    return EpochPlan(joined, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))))


def _indices(size: int) -> np.ndarray:
    """0, 1, ... in 4 bytes each: an epoch of 10 million pairs is planned in 40 MB."""
    return np.arange(size, dtype=np.int32 if size < 1 << 31 else np.int64)


def _cut(
    indices: np.ndarray, sources: np.ndarray, targets: np.ndarray, batch_tokens: int, framing: Framing
) -> list[np.ndarray]:
    """`indices` sorted by length and cut where the padded longer side would exceed `batch_tokens`.

    Pairs whose longer sides are equal are sorted by the shorter side, whichever it is. To sort them by what the source
    has more than the target would pad less, but batches of pairs that differ alike teach less: after as many updates,
    the validation loss is higher.
    """
    source = sources[indices].astype(np.int64) + framing.source
    target = targets[indices].astype(np.int64) + framing.target
    longer = source + target if framing.joined else np.maximum(source, target)
    by_length = np.lexsort((np.minimum(source, target), longer))  # stable: equal lengths keep their shuffled order
    indices, longer = indices[by_length], longer[by_length]
    batches, first = [], 0
    while first < len(indices):
        most = max(1, batch_tokens // longer[first])
        ahead = longer[first : first + most]
        # Sorted lengths make the padded size grow with each pair, so the last one that fits is found by bisection.
        padded = ahead * np.arange(1, len(ahead) + 1)
        size = max(1, int(np.searchsorted(padded, batch_tokens, side="right")))
        batches.append(indices[first : first + size])
        first += size
    return batches
