"""Rows of ids in two arrays, against rows one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.models.ragged import Ragged, spans

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=8)


def rows_of(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


@given(ROWS)
def test_rows_come_back(rows: list[list[int]]) -> None:
    assert rows_of(Ragged.of(rows)) == rows and len(Ragged.of(rows)) == len(rows)


@given(ROWS, st.data())
def test_taken_in_another_order(rows: list[list[int]], data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    assert rows_of(Ragged.of(rows).take(np.array(order, dtype=np.int64))) == [rows[place] for place in order]


@given(ROWS, st.integers(0, 2), st.none() | st.integers(0, 9))
def test_ids_around_rows(rows: list[list[int]], width: int, after: int | None) -> None:
    before = np.arange(len(rows) * width).reshape(len(rows), width)
    expected = [
        [*front, *row, *([] if after is None else [after])] for front, row in zip(before.tolist(), rows, strict=True)
    ]
    assert rows_of(Ragged.of(rows).between(before, after)) == expected


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=3), st.lists(st.integers(0, 9), max_size=3)), min_size=1)
)
def test_rows_behind_rows(pairs: list[tuple[list[int], list[int]]]) -> None:
    first, second = Ragged.of([one for one, _ in pairs]), Ragged.of([other for _, other in pairs])
    assert rows_of(first.followed_by(second)) == [[*one, *other] for one, other in pairs]
    assert rows_of(Ragged.chained([first, second])) == [one for one, _ in pairs] + [other for _, other in pairs]


def test_nothing() -> None:
    assert spans(np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == []
    assert rows_of(Ragged.of([])) == [] == rows_of(Ragged.chained([]))
