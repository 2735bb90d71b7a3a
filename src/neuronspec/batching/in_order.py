"""Batches for validation, recording and test loss: no shuffling, every chosen pair once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from transformers import PreTrainedTokenizerBase

from neuronspec.batching.collate import collate
from neuronspec.batching.draws import Pairs
from neuronspec.batching.plan import plan_in_order
from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.models.batch import Batch
from neuronspec.models.frames import Sides
from neuronspec.models.text_format import TextFormat


def eval_batches(
    pairs: Pairs,
    direction: DirectionLike,
    tokenizer: PreTrainedTokenizerBase | TextFormat,
    *,
    batch_tokens: int = 4096,
    limit: int | None = None,
) -> Iterator[Batch]:
    """The pairs of a direction in batches, from the shortest to the longest.

    Args:
        pairs: of one split, as `store.pairs(split, direction)` gives them.
        direction: of the pairs.
        tokenizer: of the model; or how it reads a pair.
        batch_tokens: padded tokens of the longer side in a batch, at most (a longer pair is a batch of its own).
        limit: at most so many pairs, spread evenly over all of them.
    """
    direction = Direction.parse(direction)
    text_format = tokenizer if isinstance(tokenizer, TextFormat) else TextFormat.of(tokenizer)
    text_format.check([direction])
    framing, chosen = text_format.frame.framing, spread(len(pairs), limit)
    for batch in plan_in_order(pairs.source_lengths[chosen], pairs.target_lengths[chosen], batch_tokens, framing):
        yield collate(direction, pairs.gather(chosen[batch]), text_format)


def spread(size: int, limit: int | None) -> np.ndarray:
    """The indices of at most `limit` of `size` items, evenly spaced."""
    if limit is None or limit >= size:
        return np.arange(size)
    return np.arange(limit) * size // limit


class SomePairs:
    """The pairs of `pairs` with these indices, in this order."""

    def __init__(self, pairs: Pairs, indices: np.ndarray) -> None:
        self._pairs, self._indices = pairs, indices

    @property
    def source_lengths(self) -> np.ndarray:
        """`[pairs]` ids per source."""
        return self._pairs.source_lengths[self._indices]

    @property
    def target_lengths(self) -> np.ndarray:
        """`[pairs]` ids per target."""
        return self._pairs.target_lengths[self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def gather(self, indices: np.ndarray) -> Sides:
        """The ids of some pairs."""
        return self._pairs.gather(self._indices[indices])


def parts_of(pairs: Pairs, parts: int, limit: int | None = None) -> list[SomePairs]:
    """The pairs that `eval_batches` would take, dealt out to disjoint parts, each spread over all of them.

    Args:
        pairs: of one split and direction.
        parts: how many; fewer if there are fewer pairs.
        limit: pairs of all parts together, at most.
    """
    chosen = spread(len(pairs), limit)
    return [SomePairs(pairs, chosen[part::parts]) for part in range(min(parts, len(chosen)))]
