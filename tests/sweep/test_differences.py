"""Differences of a sweep: what is a replication, and what one training can't tell. Their tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuronspec.arms.arm import Cost
from neuronspec.scoring.intervals import over_units
from neuronspec.scoring.joint import JointSamples
from neuronspec.sweep.differences import group_difference
from neuronspec.sweep.sweep_results import Bounds, Entry, GroupDifference, SweepResults, verdict
from neuronspec.sweep.sweep_tables import differences_table, entries_table

RANDOM = np.random.default_rng(6)
DIRECTIONS = ["de-en", "en-de", "en-fr", "fr-en"]


def samples_of(values: np.ndarray, shared: bool) -> tuple[np.ndarray, JointSamples[Any]]:
    """Resamples of systems with these scores, `[trainings, directions]`."""
    noise = RANDOM.normal(0, 0.5, size=(len(values), 1, 60)) + RANDOM.normal(0, 0.5, size=(*values.shape, 60))
    scores = values[:, :, None] + noise - noise.mean(axis=2, keepdims=True)
    systems = {
        training: {
            name: {"comet": np.stack([scores[training, place], np.ones(60)], axis=1)}
            for place, name in enumerate(DIRECTIONS)
        }
        for training in range(len(values))
    }
    ids = dict.fromkeys(DIRECTIONS, np.arange(60)) if shared else None
    samples: JointSamples[Any] = JointSamples(systems, ids, resamples=300)
    drawn = np.stack([[samples.samples(each, name, "comet") for name in DIRECTIONS] for each in systems])
    return drawn, samples


def group(values: np.ndarray, bases: list[int], shared: bool = True) -> GroupDifference:
    drawn, samples = samples_of(values, shared)
    return group_difference(values, drawn, bases, samples, of=4)


def test_one_seed_says_nothing_of_others() -> None:
    found = group(np.array([[5.0, 5.1, 4.9, 5.0]]), [0])
    assert found.these_trainings is not None and found.these_trainings.low > 4
    assert (found.other_trainings, found.other_directions, found.seeds.p) == (None, None, None)


def test_seeds_on_one_baseline_are_tested_over_seeds() -> None:
    found = group(RANDOM.normal(1, 0.1, size=(3, 4)), [0, 0, 0])
    assert found.over == "seeds" and len(found.seeds.values) == 3
    narrow, wide = found.these_trainings, found.other_trainings
    assert narrow is not None and wide is not None
    assert wide.high - wide.low >= narrow.high - narrow.low, "no narrower, though three seeds may agree by chance"
    assert found.correlation is not None and 0 < found.correlation < 1
    assert group(RANDOM.normal(1, 0.1, size=(3, 4)), [0, 0, 0], shared=False).correlation is None


def test_seeds_on_several_baselines_are_no_replications() -> None:
    values = np.repeat(np.array([[0.0], [1.0], [2.0]]), 4, axis=1).repeat(5, axis=0)
    found = group(values, [base for base in (1, 2, 3) for _ in range(5)])
    assert found.over == "baselines" and found.seeds.values == pytest.approx([0, 1, 2])
    expected = over_units([0.0, 1.0, 2.0])
    assert expected is not None and found.other_trainings is not None
    assert found.other_trainings.high == pytest.approx(expected.high, rel=0.1)


def content(base_seeds: list[int]) -> SweepResults:
    """What `gather` writes: one entry with three seeds, one with one."""
    differences = {
        name: {"dense": {"chrf++": {"all": group(values, [0] * len(values))}}}
        for name, values in (("sure", np.full((3, 4), 9.0) + RANDOM.normal(0, 0.1, (3, 4))), ("once", np.ones((1, 4))))
    }
    cost = Cost(1, 0, 0.0, None, 1)
    entries = {
        name: Entry(
            arm="dense",
            changes={},
            seeds=seeds,
            base_seeds=base_seeds,
            means={},
            validation=None,
            sparsity=None,
            cost=cost,
        )
        for name, seeds in (("sure", [1, 2, 3]), ("once", [1]))
    }
    return SweepResults(
        sweep="made", baselines=["dense"], base_seeds=base_seeds, differences=differences, entries=entries,
        arms={"sure": {}, "once": {}}, signatures={}, environment={}, pivot="en", tiers={}, families={},
    )  # fmt: skip


def test_one_seed_has_no_star() -> None:
    rows = {row[0]: row[-1] for row in entries_table(content([])).rows}
    assert rows["sure"].endswith("*") and rows["once"] == "+1.00"
    assert [row[1] for row in entries_table(content([])).rows] == ["3", "1"]
    assert [row[1] for row in entries_table(content([1, 2])).rows] == ["2 x 3", "2 x 1"]


def test_tables_say_what_they_are_for() -> None:
    table = differences_table(content([]))
    assert table is not None and "p, given this baseline" in table.columns
    assert "other seeds, given this baseline" in table.note and table.note.startswith("* the 95% interval")
    once = next(row for row in table.rows if row[0].startswith("once"))
    assert once[3:7] == ["–", "–", "–", "–"] and once[2] != "–"
    several = differences_table(content([1, 2]))
    assert several is not None and "95%, other baselines" in several.columns and "given" not in several.note


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(low=0.01, high=0.5), "better"),
        (Bounds(low=-0.05, high=0.5), "no worse"),
        (Bounds(low=-0.05, high=-0.01), "no worse"),
        (Bounds(low=-0.5, high=-0.01), "worse"),
        (Bounds(low=-0.5, high=0.5), "open"),
        (None, "open"),
    ],
)
def test_a_margin_that_was_stated_beforehand(bounds: Bounds | None, expected: str) -> None:
    assert verdict(bounds, 0.1) == expected


def test_the_table_judges_by_the_margin() -> None:
    table = differences_table(content([]).model_copy(update={"margin": 0.1}))
    assert (
        table is not None
        and table.columns[-1] == "margin 0.1"
        and "better: above 0; no worse: above -0.1" in table.note
    )
    assert {row[0]: row[-1] for row in table.rows} == {"sure − dense: all": "better", "once − dense: all": "open"}
    other = differences_table(content([]).model_copy(update={"margin": 0.1}), "bleu")
    assert other is None and "margin" not in str(differences_table(content([])))


def test_baselines_with_settings_are_columns_in_the_order_of_entries() -> None:
    results, settings = content([]), ["f", "d", "b", "a", "c", "e"]
    found = results.differences["sure"]["dense"]
    results.differences = {"sure": {f"dense+{name}": found for name in settings}}
    assert entries_table(results).columns[-6:] == [f"chrF++ over dense+{name}" for name in settings]
