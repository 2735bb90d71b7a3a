"""Every cleaning rule, and what it counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.core.direction import Direction
from neuronspec.corpus.cleaning import PairFilter, SeenHashes, Side, contains, hash_texts
from neuronspec.corpus.settings import CleaningSettings


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), max_size=8))
def test_seen_hashes_are_a_set(batches: list[list[int]]) -> None:
    seen, expected = SeenHashes(), set()
    for batch in batches:
        new = []
        for value in batch:
            new.append(value not in expected)
            expected.add(value)
        assert seen.add(np.array(batch, dtype=np.uint64)).tolist() == new


def test_seen_hashes_beyond_the_recent_ones() -> None:
    seen = SeenHashes()
    values = np.arange(200_000, dtype=np.uint64)
    assert all(seen.add(part).all() for part in np.split(values, 4))
    assert not seen.add(values[::7]).any()
    assert seen.add(np.array([5, 200_000, 200_000], dtype=np.uint64)).tolist() == [False, True, False]


def test_hashes_are_the_same_everywhere() -> None:
    # printf TEXT | xxhsum -H3; the first is in the test vectors of the xxHash library.
    assert hash_texts(["", "Grüße"]).tolist() == [0x2D06800538D394C2, 0xB40C17E2196D97D8]
    assert contains(np.array([2, 5], dtype=np.uint64), np.array([1, 2, 5, 9], dtype=np.uint64)).tolist() == [
        False, True, True, False,
    ]  # fmt: skip


def side(texts: list[str | None], lengths: list[int] | None = None, held_out: tuple[int, ...] = ()) -> Side:
    present = np.array([text is not None for text in texts])
    return Side(
        present,
        np.array(lengths or [len((text or "").split()) for text in texts], dtype=np.int64),
        hash_texts([text or "" for text in texts]),
        np.array([index in held_out for index in range(len(texts))]),
    )


def keep(split: str, first: Side, second: Side, **settings: Any) -> tuple[list[int], dict[str, int]]:
    kept, dropped = PairFilter(CleaningSettings(**settings), split).keep(("de", "en"), first, second)
    return np.flatnonzero(kept).tolist(), {rule: count for rule, count in dropped.items() if count}


def test_empty() -> None:
    sides = side(["a", None, "c", None]), side(["x", "y", None, None])
    for split in ("train", "valid", "test"):
        assert keep(split, *sides) == ([0], {"rows": 3, "empty": 2})


def test_copies_are_an_option() -> None:
    sides = side(["same", "a"]), side(["same", "b"])
    assert keep("train", *sides)[0] == [0, 1]
    assert keep("train", *sides, drop_copies=True) == ([1], {"rows": 2, "copy": 1})
    assert keep("test", *sides, drop_copies=True)[0] == [0, 1]


def test_held_out_on_either_side() -> None:
    sides = side(["a", "b", "c"], held_out=(0,)), side(["x", "y", "z"], held_out=(2,))
    assert keep("train", *sides) == ([1], {"rows": 3, "held out": 2})
    assert keep("train", *sides, decontaminate=False)[0] == [0, 1, 2]
    assert keep("valid", *sides)[0] == keep("test", *sides)[0] == [0, 1, 2]


def test_duplicates_of_both_sides() -> None:
    sides = side(["a", "a", "a", "b", "a"]), side(["x", "x", "y", "a", "x"])
    assert keep("train", *sides) == ([0, 2, 3], {"rows": 5, "duplicate": 2})
    assert keep("train", *sides, deduplicate=False)[0] == [0, 1, 2, 3, 4]
    assert keep("test", *sides)[0] == [0, 1, 2, 3, 4]


def test_duplicates_over_batches_and_language_pairs() -> None:
    rules = PairFilter(CleaningSettings(), "train")
    a, x = side(["a"]), side(["x"])
    assert rules.keep(("de", "en"), a, x)[0].tolist() == [True]
    assert rules.keep(("de", "en"), x, a)[0].tolist() == [True]
    assert rules.keep(("en", "fr"), a, x)[0].tolist() == [True]
    assert rules.keep(("de", "en"), a, x)[0].tolist() == [False]


def test_too_long_in_tokens() -> None:
    sides = side(["a", "b", "c"], [4, 5, 5]), side(["x", "y", "z"], [5, 6, 4])
    assert keep("train", *sides, max_tokens=5) == ([0, 2], {"rows": 3, "too long": 1})
    assert keep("valid", *sides, max_tokens=5) == ([0, 2], {"rows": 3, "too long": 1})
    assert keep("test", *sides, max_tokens=5)[0] == [0, 1, 2]


def test_length_ratio_in_tokens() -> None:
    sides = side(["a", "b", "c"], [6, 7, 2]), side(["x", "y", "z"], [2, 2, 7])
    assert keep("train", *sides, max_length_ratio=3) == ([0], {"rows": 3, "length ratio": 2})
    assert keep("valid", *sides)[0] == keep("test", *sides)[0] == [0, 1, 2]


def test_a_duplicate_is_one_in_every_direction_that_it_is_trained_in() -> None:
    """By source: en-de alone, de-en alone, both, and another pair alone."""
    out, into, other = Direction("en", "de"), Direction("de", "en"), Direction("en", "fr")
    rules = PairFilter(CleaningSettings(), "train", [[out], [into], [out, into], [other]])

    def kept(text: str, place: int) -> bool:
        return bool(rules.keep(("de", "en"), side([text]), side(["x"]), place=place)[0][0])

    assert [kept("a", place) for place in (0, 1, 0, 1, 2)] == [True, True, False, False, False]
    assert [kept("b", place) for place in (0, 2, 1)] == [True, True, False]
    assert [kept("c", place) for place in (2, 0, 1)] == [True, False, False]
    assert [kept("d", place) for place in (3, 0, 3)] == [True, True, False]
