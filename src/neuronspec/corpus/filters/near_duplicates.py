"""Near-duplicates by MinHash and locality-sensitive hashing: pairs that share a band of hashes are much alike.

A text's character 5-grams have a MinHash of `BANDS` bands. Two pairs share a band if both their sides do, so what is
compared with the threshold is the geometric mean of the sides' Jaccard similarities, and neither side's length counts.
As in FineWeb (Penedo et al. 2024), pairs that share a band aren't compared further: that takes 8 bytes a band, where
whole MinHashes and an index of them take a kilobyte or two.

Source: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", chapter 3. The MinHash is that of rensa, written in Rust: ten times as fast as datasketch here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from neuronspec.core.errors import MissingExtraError
from neuronspec.corpus.filters.settings import FilterSettings

Hashes: TypeAlias = npt.NDArray[np.uint64]

BANDS = 16
"""Bands of a text. With more, fewer near-duplicates are missed, and more memory is taken."""

_GRAM = 5


def bands_of(settings: FilterSettings) -> list[str]:
    """The names of the bands; none where near-duplicates stay."""
    return [] if settings.near_duplicates is None else [f"band {band}" for band in range(BANDS)]


def rows_of(threshold: float) -> int:
    """The hashes of a band of a text, so that pairs which are alike by `threshold` are as likely found as missed.

    Pairs with the similarity s share one of b bands with the probability 1 - (1 - s^r)^b, which rises most steeply near
    s = (1 / b)^(1 / r). The r hashes are those of both sides.
    """
    return max(1, round(math.log(BANDS) / (-2 * math.log(threshold))))


def band_hashes(settings: FilterSettings, texts: Sequence[str], seed: int) -> Hashes:
    """The hashes of the bands of texts, up to case. Shape [bands, texts]; no bands where near-duplicates stay.

    Raises:
        MissingExtraError: rensa isn't installed.
    """
    if settings.near_duplicates is None:
        return np.empty((0, len(texts)), np.uint64)
    try:
        from rensa import RMinHash
    except ImportError:
        raise MissingExtraError("rensa", "dedup", "corpus.filters.near_duplicates") from None
    rows = rows_of(settings.near_duplicates.threshold)
    grams = [[text[at : at + _GRAM] for at in range(max(1, len(text) - _GRAM + 1))] for text in map(str.lower, texts)]
    slots = np.array(RMinHash.digests_from_token_sets(grams, BANDS * rows, seed % 2**64), np.uint64)
    hashes = np.zeros((len(texts), BANDS), np.uint64)
    for row in slots.reshape(len(texts), rows, BANDS).swapaxes(0, 1):
        hashes = (hashes ^ row) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return np.ascontiguousarray(hashes.T)
