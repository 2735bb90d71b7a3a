"""Rules that drop pairs; each counts what it drops. Single texts are cleaned by `models.text_cleaning`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from neuronspec.core.direction import Direction
from neuronspec.corpus.readers.rows import Pair, pair_of
from neuronspec.corpus.settings import CleaningSettings

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

# The order in which pair rules are applied and shown; a pair is counted for the first rule that drops it.
PAIR_RULES = (
    "empty",
    "copy",
    "held out",
    "duplicate",
    "too long",
    "length ratio",
    "numbers",
    "placeholders",
    "near duplicate",
    "max pairs",
)


def hash_texts(texts: Iterable[str]) -> Hashes:
    """64-bit hashes of texts (XXH3), the same on every machine. Shape [texts]."""
    return np.fromiter(map(xxh3_64_intdigest, map(str.encode, texts)), dtype=np.uint64)


class SeenHashes:
    """A growing set of 64-bit hashes in 8 bytes each: sorted arrays, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def add(self, hashes: Hashes) -> Mask:
        """Add hashes; True where one is new (its first occurrence). Shape [hashes]."""
        unique, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(unique), dtype=np.bool_)
        for run in self._runs:
            unseen &= ~contains(run, unique)
        new = np.zeros(len(hashes), dtype=np.bool_)
        new[first[unseen]] = True
        merged = unique[unseen]
        while self._runs and len(self._runs[-1]) < 2 * len(merged):
            merged = np.concatenate([self._runs.pop(), merged])
            merged.sort()
        if len(merged):
            self._runs.append(merged)
        return new


def contains(sorted_hashes: Hashes, wanted: Hashes) -> Mask:
    """Which of `wanted` are in a sorted array. Shape [wanted]."""
    if len(sorted_hashes) == 0:
        return np.zeros(len(wanted), dtype=np.bool_)
    places = np.minimum(np.searchsorted(sorted_hashes, wanted), len(sorted_hashes) - 1)
    return np.asarray(sorted_hashes[places] == wanted)


@dataclass(frozen=True, slots=True)
class Side:
    """One language of a batch of rows, as arrays of shape [rows].

    Attributes:
        present: there is text.
        lengths: tokens; 0 where there is no text.
        hashes: of the texts.
        held_out: the text is in valid or test in this language, up to case, digits, punctuation and placeholders.
        facts: by filter of pairs, the hashes of what both sides must have alike.
        bands: of the texts, for near-duplicates; empty where those stay. Each has the shape [rows].
    """

    present: Mask
    lengths: npt.NDArray[np.integer]
    hashes: Hashes
    held_out: Mask
    facts: Mapping[str, Hashes] = field(default_factory=dict)
    bands: Sequence[Hashes] = ()


class PairFilter:
    """Decides which pairs of a split stay. Training pairs lose most; the test loses only what has no text.

    Args:
        settings: the rules.
        split: `train`: all rules; `valid`: too long; `test`: none but empty cells.
        trained: by place of a source, the directions that are trained on it; all sources alike without it.
    """

    def __init__(self, settings: CleaningSettings, split: str, trained: Sequence[Sequence[Direction]] = ()) -> None:
        self._settings = settings
        self._split = split
        self._trained = [tuple(directions) for directions in trained]
        self._seen: dict[tuple[Pair, str, int], SeenHashes] = {}
        self._known_ways: dict[tuple[Pair, int], Sequence[str]] = {}

    def keep(
        self,
        pair: Pair,
        first: Side,
        second: Side,
        watch: Callable[[str, Mask], None] = lambda rule, dropped: None,
        rejected: Mapping[str, Mask] | None = None,
        place: int = 0,
    ) -> tuple[Mask, Counter[str]]:
        """Which rows of a batch give a pair of `pair`, and how many rows each rule dropped.

        Rows without text on both sides aren't counted at all; `rows` counts the others. `watch` is told which rows each
        rule drops of those with text on both sides. `rejected` are further rules for training text, by name. `place` is
        that of the rows' source: a pair repeats one before it only if that is trained in all directions of this one.
        """
        dropped: Counter[str] = Counter()
        if (pair, place) not in self._known_ways:
            self._known_ways[pair, place] = self._ways(pair, place)
        kept = first.present | second.present
        dropped["rows"] = int(kept.sum())

        def drop(rule: str, bad: Mask) -> None:
            nonlocal kept
            gone = kept & bad
            dropped[rule] += int(gone.sum())
            kept = kept & ~bad
            if rule != "empty":
                watch(rule, gone)

        drop("empty", ~(first.present & second.present))
        if self._split == "train":
            if self._settings.drop_copies:
                drop("copy", first.hashes == second.hashes)
            if self._settings.decontaminate:
                drop("held out", first.held_out | second.held_out)
            if self._settings.deduplicate:
                drop("duplicate", self._repeated(pair, place, kept, [first.hashes], [second.hashes]))
        longer, shorter = np.maximum(first.lengths, second.lengths), np.minimum(first.lengths, second.lengths)
        if self._split != "test":
            drop("too long", longer > self._settings.max_tokens)
        if self._split == "train":
            drop("length ratio", longer > self._settings.max_length_ratio * np.maximum(shorter, 1))
            for name, hashes in first.facts.items():
                drop(name, hashes != second.facts[name])
            for name, bad in (rejected or {}).items():
                drop(name, bad)
            if first.bands:
                drop("near duplicate", self._repeated(pair, place, kept, first.bands, second.bands, 1))
        return kept, dropped

    def _ways(self, pair: Pair, place: int) -> Sequence[str]:
        """The directions in which pairs of a source can repeat others; one name for all if all sources are alike."""
        own = [tuple(str(d) for d in found if pair_of(d.source, d.target) == pair) for found in self._trained]
        if len({*own} - {()}) <= 1:
            return ("untrained",) if own and not own[place] else ("all",)
        return own[place] or ("untrained",)

    def _repeated(
        self,
        pair: Pair,
        place: int,
        kept: Mask,
        first: Sequence[Hashes],
        second: Sequence[Hashes],
        after: int = 0,
    ) -> Mask:
        """Which of the kept rows have one of several hashes in common, on both sides, with a row before in each way.

        Args:
            pair: of the rows.
            place: of their source.
            kept: the rows that are looked at.
            first: hashes of one side.
            second: those of the other.
            after: kinds of hashes that aren't among these.
        """
        ways = self._known_ways[pair, place]
        found = np.zeros((len(ways), int(kept.sum())), dtype=np.bool_)
        for kind, (one, other) in enumerate(zip(first, second, strict=True), start=after):
            # Multiplying one side by an odd constant keeps (a, b) and (b, a) apart.
            combined = one[kept] * np.uint64(0x9E3779B97F4A7C15) + other[kept]
            for row, way in enumerate(ways):
                found[row] |= ~self._seen.setdefault((pair, way, kind), SeenHashes()).add(combined)
        repeated = np.zeros(len(kept), dtype=np.bool_)
        repeated[kept] = found.all(axis=0)
        return repeated
