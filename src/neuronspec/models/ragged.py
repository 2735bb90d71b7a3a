"""Rows of ids of different lengths in two arrays, so that batches are made without a loop over their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of ids, one after the other.

    Args:
        values: the ids of all rows. Shape [ids].
        lengths: how many each row has. Shape [rows].

    Examples:
        >>> rows = Ragged.of([[5, 6], [7]])
        >>> [row.tolist() for row in rows.between(np.array([[1], [2]]), 9)]
        [[1, 5, 6, 9], [2, 7, 9]]
    """

    values: Ids
    lengths: Ids

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | npt.NDArray[np.integer]]) -> Ragged:
        """Rows that are given one by one."""
        arrays = [np.asarray(row, dtype=np.int64) for row in rows]
        lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
        return cls(np.concatenate([np.empty(0, np.int64), *arrays]), lengths)

    @classmethod
    def chained(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of several, part after part."""
        empty = np.empty(0, np.int64)
        values = np.concatenate([empty, *(part.values for part in parts)])
        return cls(values, np.concatenate([empty, *(part.lengths for part in parts)]))

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Ids]:
        """The rows one by one."""
        return iter(np.split(self.values, np.cumsum(self.lengths)[:-1]) if len(self) else [])

    @property
    def starts(self) -> Ids:
        """Where each row begins in the values. Shape [rows]."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, order: npt.NDArray[np.integer]) -> Ragged:
        """Some of the rows, by their places, in this order."""
        lengths = self.lengths[order]
        return Ragged(self.values[spans(self.starts[order], lengths)], lengths)

    def between(self, before: npt.NDArray[np.integer], after: int | None) -> Ragged:
        """The rows with ids in front of them, and one behind.

        Args:
            before: of each row. Shape [rows, as many as there are].
            after: of all rows; nothing without it.
        """
        first, last = before.shape[1], int(after is not None)
        longer = Ragged(np.empty(len(self.values) + len(self) * (first + last), np.int64), self.lengths + first + last)
        starts = longer.starts
        longer.values[spans(starts + first, self.lengths)] = self.values
        longer.values[(starts[:, None] + np.arange(first)).reshape(-1)] = before.reshape(-1)
        if after is not None:
            longer.values[starts + longer.lengths - 1] = after
        return longer

    def followed_by(self, other: Ragged) -> Ragged:
        """Each row with the row of another behind it."""
        joined = Ragged(np.empty(len(self.values) + len(other.values), np.int64), self.lengths + other.lengths)
        joined.values[spans(joined.starts, self.lengths)] = self.values
        joined.values[spans(joined.starts + self.lengths, other.lengths)] = other.values
        return joined


def spans(starts: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> Ids:
    """All places in some spans, span after span.

    Examples:
        >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
