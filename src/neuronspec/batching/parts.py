"""Parts of a split: some pairs of a direction, as if they were all."""

from __future__ import annotations

import numpy as np

from neuronspec.batching.in_order import spread
from neuronspec.batching.stream import Pairs


class SomePairs:
    """The pairs of `pairs` with these indices, in this order."""

    def __init__(self, pairs: Pairs, indices: np.ndarray) -> None:
        self._pairs, self._indices = pairs, indices

    @property
    def source_lengths(self) -> np.ndarray:
        """Tokens of each source sentence. Shape [pairs]."""
        return self._pairs.source_lengths[self._indices]

    @property
    def target_lengths(self) -> np.ndarray:
        """Tokens of each target sentence. Shape [pairs]."""
        return self._pairs.target_lengths[self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def tokens(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The piece ids of a pair."""
        return self._pairs.tokens(int(self._indices[index]))


def parts_of(pairs: Pairs, parts: int, limit: int | None = None) -> list[SomePairs]:
    """The first so many pairs that `eval_batches` would take, dealt out to `parts` parts (fewer if there are fewer
    pairs), so that each part is spread over all of them."""
    chosen = spread(len(pairs), limit)
    return [SomePairs(pairs, chosen[part::parts]) for part in range(min(parts, len(chosen)))]
