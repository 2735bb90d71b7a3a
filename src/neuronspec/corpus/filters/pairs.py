"""Filters that compare the sides of a pair: what they must have in common, as a hash of each text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import regex
from xxhash import xxh3_64_intdigest

from neuronspec.corpus.filters.settings import FilterSettings
from neuronspec.corpus.readers.messages import placeholders, tags

Hashes: TypeAlias = npt.NDArray[np.uint64]


def numbers(text: str) -> list[str]:
    """The numbers of a text in ASCII digits, sorted. Separators inside of a number don't count.

    Examples:
        >>> numbers("3.500,5 of ٤٢"), numbers("42 von 3 500.5")
        (['35005', '42'], ['35005', '42'])
    """
    found = (regex.sub(r"\D", "", number) for number in _number().findall(text))
    return sorted("".join(str(unicodedata.digit(digit)) for digit in number) for number in found)


@lru_cache
def _number() -> Any:
    # a separator stands between digits, and a space only before groups of three
    return regex.compile(r"\d+(?:(?:[.,'’٫٬]|[ \u00a0\u202f](?=\d{3}(?!\d)))\d+)*")


def _markup(text: str) -> list[str]:
    return sorted((placeholders(text) + tags(text)).elements())


PAIR_FACTS: dict[str, Callable[[str], list[str]]] = {"numbers": numbers, "placeholders": _markup}
"""By name of the filter, what both sides of a pair must have alike."""


def facts_of(settings: FilterSettings) -> list[str]:
    """The filters of pairs that are on."""
    return [name for name in PAIR_FACTS if getattr(settings, name)]


def fact_hashes(name: str, texts: Sequence[str]) -> Hashes:
    """A hash of what a filter compares, for each text. Shape [texts]."""
    fact = PAIR_FACTS[name]
    return np.fromiter((xxh3_64_intdigest("\n".join(fact(text)).encode()) for text in texts), np.uint64, len(texts))
