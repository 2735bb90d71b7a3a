"""Batches that mix directions, directions by weight, and the updates of several processes."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, FORMAT, LAYOUT, ToyStore

from neuronspec.batching import draws
from neuronspec.batching.sampling import weighted_probabilities
from neuronspec.batching.stream import Prefetched, TrainingBatches, Updates
from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError
from neuronspec.core.processes import Processes
from neuronspec.models.batch import MixedBatch
from neuronspec.training.settings import TrainingSettings

SIZES = {EN_DE: 60, DE_EN: 7, EN_FR: 25}


def stream(mixed: bool = True, seed: int = 3, temperature: float = 2.0, **options: object) -> TrainingBatches:
    chosen: dict[str, Any] = {"temperature": temperature, "mix_directions": mixed, **options}
    asked = TrainingSettings(updates=1, batch_tokens=60, **chosen)
    return TrainingBatches(ToyStore(SIZES), list(SIZES), FORMAT, asked, seed)


def drawn(batches: TrainingBatches, count: int) -> list[tuple[tuple[str, int], ...]]:
    """Direction and pair of each row of the next batches."""
    return [
        tuple((str(one), index) for one, (_, some) in draw.by_direction().items() for index in some.tolist())
        for draw in (batches.draw() for _ in range(count))
    ]


@given(window=st.integers(20, 400), seed=st.integers(0, 99), temperature=st.sampled_from([1.0, 3.0, 50.0]))
@settings(max_examples=25)
def test_every_pair_once_an_epoch_and_direction(window: int, seed: int, temperature: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "MIXED_WINDOW", window)
        patch.setattr(draws, "PAIRS_PER_TOKEN", 0)
        batches = stream(seed=seed, temperature=temperature)
        rows = [row for batch in drawn(batches, 120) for row in batch]
        passes = batches.passes()
    for direction, size in SIZES.items():
        seen = Counter(index for one, index in rows if one == str(direction))
        assert sum(seen.values()) == pytest.approx(passes[direction] * size)
        assert set(seen) <= set(range(size))
        # windows are sorted inside, so at any time pairs differ by the epochs that the last window touches
        spread = 2 + window * batches.probabilities[direction] / size
        assert max(seen.values(), default=0) - min((seen[index] for index in range(size)), default=0) <= spread


def test_whole_windows_hold_each_pair_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """With equal directions a window of 3 x 60 pairs holds 60 pairs of each: one epoch of the largest."""
    monkeypatch.setattr(draws, "MIXED_WINDOW", 180)
    monkeypatch.setattr(draws, "PAIRS_PER_TOKEN", 0)
    batches = stream(temperature=1e9)
    rows: list[tuple[str, int]] = []
    while batches.state()["window"][0] == 0:
        rows += drawn(batches, 1)[0]
    seen = Counter(index for one, index in rows if one == "en-de")
    assert set(seen.values()) == {1} and len(seen) in (59, 60, 61) and len(rows) in range(177, 184)


def test_mixed_batches_hold_several_directions_within_the_budget() -> None:
    batches = stream()
    taken = [next(batches) for _ in range(40)]
    assert all(isinstance(one.batch, MixedBatch) for one in taken)
    assert any(len(set(one.batch.row_directions)) > 1 for one in taken)
    for one in taken:
        inputs = one.batch.inputs
        assert max(inputs["input_ids"].numel(), inputs["labels"].numel()) <= 60
        sources = [LAYOUT.tags[row.source] for row in one.batch.row_directions]
        targets = [LAYOUT.tags[row.target] for row in one.batch.row_directions]
        assert inputs["input_ids"][:, 0].tolist() == sources
        assert inputs["decoder_input_ids"][:, 1].tolist() == targets
    first, rest = taken[0].batch.rows(0, 1), taken[0].batch.rows(1, None)
    assert first.row_directions + rest.row_directions == taken[0].batch.row_directions


class Lengths:
    """Pairs of which one side is longer by two ids."""

    parts = ()

    def __init__(self, more_source: int, more_target: int) -> None:
        lengths = np.random.default_rng(1).integers(5, 9, size=500)
        self.source_lengths, self.target_lengths = lengths + more_source, lengths + more_target

    def __len__(self) -> int:
        return len(self.source_lengths)


def test_directions_are_mixed_also_where_one_language_is_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one direction all sources are longer, in the other all targets; both are in each batch."""
    monkeypatch.setattr(draws, "MIXED_WINDOW", 1000)
    monkeypatch.setattr(draws, "PAIRS_PER_TOKEN", 0)
    pairs: Any = {EN_DE: Lengths(0, 2), DE_EN: Lengths(2, 0)}
    batches = draws.MixedDraws(pairs, {EN_DE: 0.5, DE_EN: 0.5}, 300, 1)
    shares = [float(np.mean(draw.columns)) for draw in islice(batches, 25) if draw.columns is not None]
    assert len(shares) == 25
    assert 0.1 < min(shares) <= max(shares) < 0.9


def test_batches_stay_those_that_earlier_versions_drew() -> None:
    """A run that is resumed after an update of the software sees the pairs that it would have seen."""
    rows = [
        [[str(one), index] for one, index in zip(draw.row_directions(), draw.indices.tolist(), strict=True)]
        for draw in islice(iter(stream().draw, None), 60)
    ]
    assert rows[0][:4] == [["en-de", 37], ["en-fr", 14], ["de-en", 0], ["en-fr", 14]]
    assert sha256(json.dumps(rows).encode()).hexdigest()[:16] == "97c966ff1af65dec"


def test_large_batches_are_of_larger_windows() -> None:
    asked = TrainingSettings(updates=1, batch_tokens=6000, temperature=1e9, mix_directions=True)
    batches = TrainingBatches(ToyStore(SIZES), list(SIZES), FORMAT, asked, 1)
    rows = 0
    while batches.state()["window"][0] == 0:
        rows += len(batches.draw().indices)
    assert rows == pytest.approx(8 * 6000, abs=3)


def test_rows_are_grouped_by_direction_in_their_order() -> None:
    batches = stream()
    for draw in (batches.draw() for _ in range(30)):
        directions = draw.row_directions()
        grouped = draw.by_direction()
        assert set(grouped) == set(directions)
        for one, (rows, pairs) in grouped.items():
            assert rows.tolist() == [row for row, direction in enumerate(directions) if direction == one]
            assert pairs.tolist() == draw.indices[rows].tolist()


def test_share_of_each_direction_follows_its_weight() -> None:
    batches = stream(weights={"en-de": 1, "de-en": 2, "en-fr": 5})
    counts = Counter(one for batch in drawn(batches, 400) for one, _ in batch)
    total = sum(counts.values())
    assert {one: round(count / total, 2) for one, count in counts.items()} == pytest.approx(
        {"en-de": 0.125, "de-en": 0.25, "en-fr": 0.625}, abs=0.05
    )


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("stopped_after", [0, 1, 17, 63])
def test_goes_on_without_replay(mixed: bool, stopped_after: int) -> None:
    whole = drawn(stream(mixed), 90)
    before, after = stream(mixed), stream(mixed)
    drawn(before, stopped_after)
    after.restore(before.state())
    assert drawn(after, 90 - stopped_after) == whole[stopped_after:]
    assert drawn(stream(mixed, seed=4), 90) != whole


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_what_one_process_would_see(mixed: bool, size: int) -> None:
    alone = Updates(stream(mixed), 2 * size, Processes())
    each = [Updates(stream(mixed), 2, Processes(rank, size)) for rank in range(size)]
    for _ in range(10):
        expected, parts = next(alone), [next(updates) for updates in each]
        found = {one.draw: one for part in parts for one in part.micro_batches}
        assert sorted(found) == [one.draw for one in expected.micro_batches]
        for one in expected.micro_batches:
            assert np.array_equal(found[one.draw].batch.inputs["labels"], one.batch.inputs["labels"])
        labels = [one.batch.inputs["labels"] for one in expected.micro_batches]
        assert expected.target_tokens == sum(int((rows != -100).sum()) for rows in labels)
        assert {part.target_tokens for part in parts} == {expected.target_tokens}
        assert all(part.state == expected.state for part in parts)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"en-de": 1, "de-en": 1}, "weights: no weight for en-fr; give"),
        ({"en-de": 1, "de-en": 1, "en-fr": 1, "en-cs": 1}, "weights: en-cs isn't trained; give"),
    ],
)
def test_weights_must_name_the_trained_directions(weights: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        weighted_probabilities(list(SIZES), weights)


def test_prefetched_items_come_in_order_and_errors_where_they_belong() -> None:
    def items() -> object:
        yield from range(5)
        raise ValueError("the sixth")

    with Prefetched(items(), ahead=3) as ahead:
        assert [next(ahead) for _ in range(5)] == list(range(5))
        with pytest.raises(ValueError, match="the sixth"):
            next(ahead)


def test_directions_of_a_batch_are_checked() -> None:
    one = next(stream(mixed=False))
    assert one.batch.direction in SIZES and not isinstance(one.batch, MixedBatch)
    assert Direction.parse(one.name.split()[0]) == one.batch.direction
