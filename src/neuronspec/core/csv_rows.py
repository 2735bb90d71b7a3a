"""Rows of CSV with cells of any length."""

from __future__ import annotations

import csv
from collections.abc import Iterator


def next_row(rows: Iterator[list[str]], longest: int) -> list[str]:
    """The next row of a `csv.reader`, which refuses cells of more than 128 KiB by itself.

    Args:
        rows: the reader.
        longest: characters of a cell at most.

    Raises:
        StopIteration: there are no more.
        csv.Error: it isn't CSV, or a cell is longer.
    """
    limit = csv.field_size_limit()  # of all readers of the process
    csv.field_size_limit(max(limit, longest))
    try:
        return next(rows)
    finally:
        csv.field_size_limit(limit)
