from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, FORMAT, ToyPairs, ToyStore

from neuronspec.batching.sampling import DrawnDirections, sampling_probabilities
from neuronspec.batching.stream import TrainingBatches
from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.training.settings import ContinuationSettings, TrainingSettings

SIZES = {EN_DE: 60, DE_EN: 7, EN_FR: 25}


def drawn(temperature: float, **fields: Any) -> TrainingSettings:
    return TrainingSettings(updates=1, batch_tokens=40, temperature=temperature, **fields)


def stream(
    sizes: dict[Direction, int] = SIZES, seed: int = 3, temperature: float = 2.0, **fields: Any
) -> TrainingBatches:
    store = ToyStore(sizes)
    return TrainingBatches(store, list(sizes), FORMAT, drawn(temperature, **fields), seed)


def content(batches: TrainingBatches, count: int) -> list[tuple[str, list[list[int]]]]:
    taken = [next(batches).batch for _ in range(count)]
    return [
        (str(getattr(batch, "row_directions", batch.direction)), batch.inputs["input_ids"].tolist()) for batch in taken
    ]


@pytest.mark.parametrize(("temperature", "expected"), [(1, [0.8, 0.2]), (2, [2 / 3, 1 / 3]), (1e9, [0.5, 0.5])])
def test_probabilities(temperature: float, expected: list[float]) -> None:
    found = sampling_probabilities({EN_DE: 4_000_000, DE_EN: 1_000_000}, temperature)
    assert list(found.values()) == pytest.approx(expected)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8), st.floats(1, 100))
def test_probabilities_sum_to_one_and_keep_the_order(sizes: list[int], temperature: float) -> None:
    directions = [Direction("en", f"x{place}") for place in range(len(sizes))]
    found = sampling_probabilities(dict(zip(directions, sizes, strict=True)), temperature)
    assert sum(found.values()) == pytest.approx(1)
    ranked = [found[direction] for direction in sorted(directions, key=lambda one: sizes[directions.index(one)])]
    assert ranked == sorted(ranked)


def test_draws_follow_the_probabilities_closely() -> None:
    probabilities = {EN_DE: 0.61, DE_EN: 0.3, EN_FR: 0.09}
    sampler = DrawnDirections(probabilities, seed=5)
    for first in (0, 128, 1280):
        counts = Counter(sampler[draw] for draw in range(first, first + 128))
        assert all(abs(counts[one] - 128 * share) <= 1 for one, share in probabilities.items())


def test_draws_are_a_pure_function_of_seed_and_number() -> None:
    probabilities = {EN_DE: 0.5, DE_EN: 0.25, EN_FR: 0.25}
    forward, other = DrawnDirections(probabilities, 5), DrawnDirections(probabilities, 6)
    drawn = [forward[draw] for draw in range(300)]
    assert [DrawnDirections(probabilities, 5)[draw] for draw in reversed(range(300))] == drawn[::-1]
    assert [other[draw] for draw in range(300)] != drawn


def test_each_pair_once_in_an_epoch_of_its_direction() -> None:
    batches, store = stream(), ToyStore(SIZES)
    seen: dict[Direction, list[tuple[int, ...]]] = {direction: [] for direction in SIZES}
    for _ in range(200):
        one = next(batches)
        if "(epoch 1," in one.name:
            rows = zip(one.batch.inputs["input_ids"].tolist(), one.batch.inputs["attention_mask"], strict=True)
            seen[one.batch.direction] += [tuple(row[1 : int(mask.sum()) - 1]) for row, mask in rows]
    assert all(epochs >= 2 for epochs in batches.passes().values())
    for direction, rows in seen.items():
        expected = [tuple(source.tolist()) for source, _ in store.pairs("train", direction).pairs]
        assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("stopped_after", [0, 1, 17, 63])
def test_goes_on_without_replay(stopped_after: int) -> None:
    whole = content(stream(), 90)
    before, after = stream(), stream()
    content(before, stopped_after)
    after.restore(before.state())
    assert content(after, 90 - stopped_after) == whole[stopped_after:]
    assert after.state()["draws"] == 90


@pytest.mark.parametrize("fields", [{}, {"mix_directions": True}])
def test_an_epoch_that_an_earlier_version_began_is_begun_again(
    fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It made other batches: a place among them says nothing of these."""
    batches, after = stream(**fields), stream(**fields)
    content(batches, 90)
    state = batches.state()
    old = {name: value for name, value in state.items() if name != "order"}
    with caplog.at_level("WARNING", "neuronspec"):
        after.restore(state)
        assert not caplog.text
        after.restore(old)
    assert "begins its present epoch again" in caplog.text
    begun = after.state()
    assert begun["draws"] == state["draws"]
    if fields:
        assert begun["window"] == [state["window"][0], 0]
    else:
        assert begun["places"] == {one: [epoch, 0] for one, (epoch, _) in state["places"].items()}
    content(after, 90)


def test_same_seed_same_batches_and_another_seed_others() -> None:
    assert content(stream(), 30) == content(stream(), 30)
    assert content(stream(), 30) != content(stream(seed=4), 30)


def test_counts_of_padding_epochs_and_upsampling() -> None:
    batches = stream(temperature=1.0)
    one = next(batches)
    sides = [one.batch.inputs[name] for name in ("attention_mask", "decoder_attention_mask")]
    assert (one.tokens, one.padded) == (sum(int(m.sum()) for m in sides), sum(m.numel() for m in sides))
    assert one.tokens <= one.padded
    assert list(batches.upsampling().values()) == pytest.approx([1.0, 1.0, 1.0])
    equal = stream(temperature=1e9).upsampling()
    assert equal[DE_EN] == pytest.approx(92 / 7 / 3)
    assert batches.volume()[DE_EN][0] == 7
    fresh = stream()
    for _ in range(fresh.batches_per_epoch()):
        next(fresh)
    assert sum(fresh.passes().values()) > 1


def test_direction_without_pairs_is_named() -> None:
    store = ToyStore({EN_DE: 5, DE_EN: 0})
    with pytest.raises(TrainingError, match=r"no training pairs for de-en, en-fr; the data has de-en, en-de\."):
        TrainingBatches(store, [EN_DE, DE_EN, EN_FR], FORMAT, drawn(1), 1)
    with pytest.raises(TrainingError, match="none was named"):
        TrainingBatches(store, [], FORMAT, drawn(1), 1)


def test_order_of_directions_given_does_not_matter() -> None:
    store = ToyStore(SIZES)
    orders = [list(SIZES), list(reversed(SIZES))]
    one, other = (TrainingBatches(store, order, FORMAT, drawn(2), 1) for order in orders)
    assert content(one, 20) == content(other, 20)
    assert np.isclose(sum(one.probabilities.values()), 1)


def test_sentences_are_sampled_whatever_their_length() -> None:
    class Uneven(ToyStore):
        """Sentences of one direction are four times as long."""

        def pairs(self, split: str, direction: Direction) -> ToyPairs:
            length = 16 if direction == EN_DE else 4
            return ToyPairs([(np.full(length, 5), np.full(length, 5))] * 200)

    sizes = {EN_DE: 200, DE_EN: 200}
    shares = {}
    for sample in ("batches", "sentences"):
        settings = TrainingSettings(updates=1, batch_tokens=80, temperature=1, sample=sample)
        batches, counts = TrainingBatches(Uneven(sizes), list(sizes), FORMAT, settings, seed=1), Counter[str]()
        for _ in range(512):
            draw = batches.draw()
            counts[str(draw.directions[0])] += len(draw.indices)
        shares[sample] = counts["en-de"] / counts.total()
    assert shares["sentences"] == pytest.approx(0.5, abs=0.02) and shares["batches"] < 0.3


def test_mixed_batches_are_sampled_by_sentences() -> None:
    TrainingSettings(updates=1, mix_directions=True, sample="sentences")
    with pytest.raises(ValueError, match="sample: batches that mix directions are drawn by sentences"):
        TrainingSettings(updates=1, mix_directions=True, sample="batches")


@pytest.mark.parametrize("fields", [{}, {"mix_directions": True}, {"sample": "sentences"}, {"temperature": 1.0}])
def test_replay_gives_the_other_directions_their_share(fields: dict[str, Any]) -> None:
    """Drawn exactly; resumed as any stream."""
    others = [DE_EN, EN_FR]
    settings = ContinuationSettings(updates=1, batch_tokens=64, directions=["en-de"], replay=0.25, **fields)

    def replayed() -> TrainingBatches:
        return TrainingBatches(ToyStore(SIZES), [EN_DE], FORMAT, settings, 3, others)

    batches, counts, draws = replayed(), Counter[Direction](), Counter[Direction]()
    expected = sampling_probabilities({one: SIZES[one] for one in others}, settings.temperature)
    assert batches.probabilities == pytest.approx({EN_DE: 0.75} | {one: 0.25 * expected[one] for one in others})
    for _ in range(1024):
        for direction, (rows, _) in batches.draw().by_direction().items():
            counts[direction] += len(rows)
            draws[direction] += 1
    if not fields.get("mix_directions"):
        assert draws[EN_DE] / 1024 == pytest.approx(0.75, abs=0.02 if not fields.get("sample") else 0.2)
    if fields:
        share = counts[EN_DE] / counts.total()
        assert share == pytest.approx(0.75, abs=0.02 if fields.keys() & {"mix_directions", "sample"} else 0.1)
    after = replayed()
    after.restore(batches.state())
    assert content(after, 5) == content(batches, 5)


@pytest.mark.parametrize("fields", [{}, {"mix_directions": True}, {"sample": "sentences"}])
def test_an_epoch_with_replay_is_one_of_the_directions_that_are_trained(fields: dict[str, Any]) -> None:
    def batches(replay: float, *others: Direction) -> TrainingBatches:
        settings = ContinuationSettings(updates=1, batch_tokens=64, directions=["en-de"], replay=replay, **fields)
        return TrainingBatches(ToyStore({EN_DE: 60, DE_EN: 7, EN_FR: 2500}), [EN_DE], FORMAT, settings, 3, others)

    alone, replayed = batches(0), batches(0.25, DE_EN, EN_FR)
    assert "replayed" not in alone.describe()
    assert replayed.describe().endswith("; 25% are replayed, from 2 of the directions")
    for _ in range(8 * replayed.batches_per_epoch()):
        replayed.draw()
    assert replayed.passes()[EN_DE] == pytest.approx(8, rel=0.1)
    assert alone.batches_per_epoch() < replayed.batches_per_epoch() < 2 * alone.batches_per_epoch()


def test_without_replay_the_order_of_the_data_is_as_it_was() -> None:
    settings = ContinuationSettings(updates=1, batch_tokens=40, temperature=2.0)
    assert content(TrainingBatches(ToyStore(SIZES), list(SIZES), FORMAT, settings, 3), 30) == content(stream(), 30)
