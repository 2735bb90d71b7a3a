"""Which words of a translation belong to which words of its source, by the attention of the model that made it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]
"""Where something begins and ends in a text, in characters."""

# A word, a character of a script that is written without spaces, or a mark.
_UNIT = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\U00020000-\U0003ffff]"
    r"|(?:(?![\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff])\w)+(?:['’](?=\w))?|[^\w\s]"
)


def units(text: str) -> list[Span]:
    """The words and marks of a text; in scripts that are written without spaces, each character.

    Examples:
        >>> [("Click here.")[start:end] for start, end in units("Click here.")]
        ['Click', 'here', '.']
    """
    return [match.span() for match in _UNIT.finditer(text)]


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A source and its translation, word by word.

    Args:
        source: the words of the source; see `units`.
        target: the words of the translation.
        weights: `[target words, source words]`, from 0; a row sums to 1, or to 0 where nothing is known.
    """

    source: list[Span]
    target: list[Span]
    weights: np.ndarray


def aligned(
    source: str, target: str, source_pieces: Sequence[Span], target_pieces: Sequence[Span], attention: np.ndarray
) -> Aligned:
    """Word weights from the attention between pieces.

    Args:
        source: the text.
        target: its translation.
        source_pieces: where each piece of the source is.
        target_pieces: where each piece of the translation is.
        attention: `[target pieces, source pieces]`.
    """
    source_units, target_units = units(source), units(target)
    rows, columns = _shares(target_units, target_pieces), _shares(source_units, source_pieces)
    weights = rows @ attention @ columns.T
    sums = weights.sum(axis=1, keepdims=True)
    return Aligned(source_units, target_units, np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0))


def unaligned(source: str) -> Aligned:
    """A source of whose translation nothing is known."""
    words = units(source)
    return Aligned(words, [], np.zeros((0, len(words))))


def _shares(words: Sequence[Span], pieces: Sequence[Span]) -> np.ndarray:
    """`[words, pieces]` which share of each piece's characters is in each word."""
    shares = np.zeros((len(words), len(pieces)))
    for row, (start, end) in enumerate(words):
        for column, (first, last) in enumerate(pieces):
            shares[row, column] = max(0, min(end, last) - max(start, first)) / max(1, last - first)
    return shares
