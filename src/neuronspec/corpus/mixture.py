"""Sources by weight: which rows an epoch holds where some sources are drawn more often than their size says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neuronspec.core.direction import Direction
from neuronspec.core.randomness import generator


class Part(NamedTuple):
    """The pairs of one source among those of a direction, which come source after source.

    Attributes:
        pairs: how many there are.
        weight: against the weights of the other parts, the part's share of draws.
    """

    pairs: int
    weight: float


def sizes_by_weight(parts: Sequence[Part]) -> list[int]:
    """How many rows of each part an epoch holds: as many as there are pairs in all, shared out by weight.

    Examples:
        >>> sizes_by_weight([Part(100, 3), Part(300, 1)])
        [300, 100]
    """
    weights = np.array([part.weight if part.pairs else 0.0 for part in parts])
    bounds = np.cumsum(weights) / weights.sum() * sum(part.pairs for part in parts)
    return np.diff(np.rint(bounds).astype(np.int64), prepend=0).tolist()


def rows_of_epoch(parts: Sequence[Part], direction: Direction, seed: int, epoch: int) -> np.ndarray:
    """The rows of an epoch, part after part; a pure function of its arguments. Shape [pairs] (int64).

    A part that has fewer pairs than its share comes several times; of one that has more, the next epoch goes on where
    this one stops, so that in the long run all its pairs come equally often.

    Args:
        parts: of the direction's pairs.
        direction: of the pairs.
        seed: of the shuffling.
        epoch: number of the pass, from 0.
    """
    first, found = 0, [np.empty(0, dtype=np.int64)]
    for place, (part, size) in enumerate(zip(parts, sizes_by_weight(parts), strict=True)):
        passes, rows = np.divmod(np.arange(epoch * size, (epoch + 1) * size), max(1, part.pairs))
        for number in np.unique(passes).tolist():
            order = generator(seed, "source", place, str(direction), number).permutation(part.pairs)
            rows[passes == number] = order[rows[passes == number]]
        found.append(first + rows)
        first += part.pairs
    return np.concatenate(found)
