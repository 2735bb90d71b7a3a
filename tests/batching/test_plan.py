import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.toy_corpus import DE_EN, EN_DE

from neuronspec.batching.plan import EpochPlan, plan_epoch, plan_in_order

lengths = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=120).map(
    lambda pairs: np.array(pairs, dtype=np.int64).reshape(-1, 2)
)


def plan(pairs: np.ndarray, budget: int = 50, seed: int = 1, epoch: int = 0, **changes: object) -> EpochPlan:
    settings = {"direction": EN_DE, "window": 16} | changes
    return plan_epoch(pairs[:, 0], pairs[:, 1], batch_tokens=budget, seed=seed, epoch=epoch, **settings)


@given(lengths, st.integers(1, 200), st.integers(0, 3), st.integers(0, 3))
def test_every_pair_once_within_the_budget(pairs: np.ndarray, budget: int, seed: int, epoch: int) -> None:
    for one in (plan(pairs, budget, seed, epoch), plan_in_order(pairs[:, 0], pairs[:, 1], budget)):
        batches = list(one)
        assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(pairs)))
        for batch in batches:
            padded = len(batch) * (pairs[batch].max() + 2)
            assert padded <= budget or len(batch) == 1


@given(lengths)
def test_plan_is_a_pure_function(pairs: np.ndarray) -> None:
    first, again = plan(pairs), plan(pairs.copy())
    assert np.array_equal(first.order, again.order)
    assert np.array_equal(first.starts, again.starts)


def test_epochs_seeds_and_directions_differ() -> None:
    pairs = np.random.default_rng(0).integers(1, 30, (200, 2))
    orders = [plan(pairs), plan(pairs, seed=2), plan(pairs, epoch=1), plan(pairs, direction=DE_EN)]
    assert len({tuple(one.order) for one in orders}) == 4


def test_similar_lengths_stand_together() -> None:
    pairs = np.random.default_rng(0).integers(1, 60, (5000, 1)).repeat(2, axis=1)
    one = plan(pairs, budget=1000, window=65_536)
    padded = sum(len(batch) * (pairs[batch].max() + 2) for batch in one)
    assert 1 - (pairs[:, 0] + 2).sum() / padded < 0.03
    unsorted = np.arange(5000).reshape(-1, 20)
    assert 1 - (pairs[:, 0] + 2).sum() / sum(20 * (pairs[batch].max() + 2) for batch in unsorted) > 0.3


def test_pairs_that_differ_both_ways_stand_together() -> None:
    """Batches of pairs whose sources are all longer, or all shorter, teach less; see `plan._cut`."""
    random = np.random.default_rng(0)
    sources = random.integers(5, 60, 20_000)
    pairs = np.stack([sources, np.clip(random.normal(sources, sources / 8), 1, 60).astype(np.int64)], axis=1)
    shares = [(pairs[batch, 0] > pairs[batch, 1]).mean() for batch in plan(pairs, 2048, window=65_536)]
    assert np.std(shares) < 0.25  # in batches of pairs that differ alike it is nearly 0.5


def test_large_batches_are_of_larger_windows() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 200_000)
    found = {}
    for window in (None, 65_536):
        plan = plan_epoch(lengths, lengths, batch_tokens=20_000, seed=1, epoch=0, direction=EN_DE, window=window)
        found[window] = 1 - (lengths + 2).sum() / sum(len(batch) * (lengths[batch].max() + 2) for batch in plan)
    assert found[None] < 0.75 * found[65_536]


def test_batches_are_shuffled_within_the_epoch() -> None:
    pairs = np.arange(1, 401).reshape(-1, 1).repeat(2, axis=1)
    longest = [int(pairs[batch].max()) for batch in plan(pairs, budget=800, window=65_536)]
    assert longest != sorted(longest)
    ordered = [int(pairs[batch].max()) for batch in plan_in_order(pairs[:, 0], pairs[:, 1], 800)]
    assert ordered == sorted(ordered)


def test_batch_number_outside_the_plan() -> None:
    one = plan(np.ones((10, 2), dtype=np.int64))
    with pytest.raises(IndexError, match=f"batch {len(one)} of a plan with {len(one)} batches"):
        one[len(one)]


def test_golden_plan() -> None:
    # A changed order would make a training that goes on from a checkpoint see other pairs.
    lengths = np.arange(12, dtype=np.int32) % 5 + 1
    one = plan_epoch(lengths, lengths[::-1], batch_tokens=30, seed=7, epoch=2, direction=EN_DE, window=8)
    assert one.order.tolist() == [7, 4, 2, 0, 6, 5, 1, 8, 10, 11, 3, 9]
    assert one.starts.tolist() == [0, 3, 8, 12]


@given(lengths, st.sampled_from([np.int32, np.uint16]))
def test_narrow_lengths_give_the_same_plan(pairs: np.ndarray, kind: type) -> None:
    wide, narrow = plan(pairs), plan(pairs.astype(kind))
    assert np.array_equal(wide.order, narrow.order) and np.array_equal(wide.starts, narrow.starts)
    assert narrow.order.dtype == np.int32


def test_long_pairs_do_not_overflow_narrow_lengths() -> None:
    pairs = np.full((200, 2), 30_000, dtype=np.uint16)
    sizes = [len(batch) for batch in plan(pairs, budget=3_000_000, window=65_536)]
    assert sorted(sizes) == [2, 99, 99]
