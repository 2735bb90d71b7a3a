"""Test sentences that are also in the training text: counted, since they make scores look better than they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuronspec.core.direction import Direction
from neuronspec.corpus.store import DirectionPairs, TokenStore
from neuronspec.evaluation.samples import read_text_lines

Hashes = npt.NDArray[np.uint64]
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a test set is in the training text of its language pair, sentence by sentence.

    Args:
        source: test sentences whose source is the source of a training pair.
        target: whose reference is the target of a training pair.
        either: one or the other.
        n: test sentences.
    """

    source: int
    target: int
    either: int
    n: int

    def __str__(self) -> str:
        return (
            f"{self.either} of {self.n} test sentences are in the training text "
            f"(source {self.source}, target {self.target})"
        )


def store_overlap(store: TokenStore, directions: Sequence[Direction], limit: int | None) -> dict[str, dict[str, Any]]:
    """The overlap of each direction's test set with its training pairs, by their tokens; those without any left out.

    Args:
        store: holds both.
        directions: with training pairs.
        limit: test sentences that are evaluated, as in `read_test_set`.
    """
    from neuronspec.batching.in_order import spread

    found = {}
    for direction in directions:
        test = store.pairs("test", direction)
        chosen = spread(len(test), limit)
        sides = [hashes[chosen] for hashes in _hashes(test)]
        seen = [np.zeros(len(chosen), dtype=np.bool_) for _ in sides]
        for batch in store.pairs("train", direction).token_arrays():
            for side, arrays in enumerate(batch):
                seen[side] |= np.isin(sides[side], _hash_lists(*arrays))
        overlap = _overlap(*seen)
        if overlap.either:
            found[str(direction)] = asdict(overlap)
    return found


def text_overlap(sources: Sequence[str] | None, references: Sequence[str], training: Iterable[Path]) -> Overlap:
    """How many lines are, up to white space, in training files.

    Raises:
        EvaluationError: a file can't be read.
    """
    known = {" ".join(line.split()) for path in training for line in read_text_lines(path)}
    sides = [[" ".join(line.split()) in known for line in lines] for lines in (sources or [], references)]
    return _overlap(np.array(sides[0] or [False] * len(references)), np.array(sides[1]))


def _overlap(source: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_]) -> Overlap:
    return Overlap(int(source.sum()), int(target.sum()), int((source | target).sum()), len(source))


def _hashes(pairs: DirectionPairs) -> tuple[Hashes, Hashes]:
    """A hash of each source and of each target. Shapes [pairs]."""
    batches = list(pairs.token_arrays())
    source, target = (
        np.concatenate([np.empty(0, np.uint64), *(_hash_lists(*batch[side]) for batch in batches)]) for side in (0, 1)
    )
    return source, target


def _hash_lists(offsets: npt.NDArray[Any], values: npt.NDArray[Any]) -> Hashes:
    """A polynomial hash modulo 2^64 of each list. Shape [lists]."""
    offsets = offsets.astype(np.int64)
    lengths = np.diff(offsets)
    positions = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _BASE, dtype=np.uint64), dtype=np.uint64)
    terms = (values[offsets[0] : offsets[-1]].astype(np.uint64) + np.uint64(1)) * powers[positions]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    ends = offsets - offsets[0]
    return sums[ends[1:]] - sums[ends[:-1]]
