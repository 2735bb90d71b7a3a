"""Training pairs for the loops that want them as a list: so many of each direction at most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neuronspec.core.direction import Direction
from neuronspec.corpus.store import TokenStore

MOST = 4000
"""Pairs of a direction; enough for other loops to group by length as they do with all of a corpus."""


def some_pairs(store: TokenStore) -> Iterator[tuple[Direction, np.ndarray, np.ndarray]]:
    """Random pairs of every direction: the direction, source pieces, target pieces."""
    for direction in store.directions("train"):
        pairs = store.pairs("train", direction)
        for index in np.random.default_rng(0).permutation(len(pairs))[:MOST]:
            yield direction, *pairs.tokens(int(index))
