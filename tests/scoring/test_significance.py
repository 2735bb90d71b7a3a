"""Significance between arms: what results.json holds, both ways, missing directions, marks."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.helpers.fake_run import changed

from neuronspec.evaluation.adaptation import groups_of
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import arms_table, directions_table, zero_shot_table
from neuronspec.evaluation.transfer import all_tables, gains_table, significance_table, transfer_table
from neuronspec.scoring.pairwise import arms_significance, compare_systems
from neuronspec.scoring.score import values_of
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.significance import DirectionTest, marks, method_and_control
from neuronspec.scoring.statistics import Statistics

SETTINGS = ScoreSettings(resamples=200, trials=200)


def chrf_rows(quality: float, seed: int, n: int = 80) -> Statistics:
    """Statistics of chrF++ alone, around a score of `quality`; noise is shared by all systems of a seed."""
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 60, size=n)
    matches = np.clip(lengths * random.normal(quality / 100, 0.1, size=n), 0, lengths).round()
    return {"chrf++": np.stack([lengths, lengths, matches] * 8, axis=1).astype(np.float64)}


@pytest.fixture(scope="module")
def statistics() -> dict[str, dict[str, Statistics]]:
    names = {"en-de": 1, "de-en": 2, "en-fr": 3, "de-fr": 4}
    arms = {"copy": 10, "base": 40, "specialized": 44, "dense": 40.3}
    made = {arm: {name: chrf_rows(quality, seed) for name, seed in names.items()} for arm, quality in arms.items()}
    del made["specialized"]["en-fr"]
    made["dense"]["de-en"] = made["base"]["de-en"]
    return made


@pytest.fixture(scope="module")
def results(statistics: dict[str, dict[str, Statistics]]) -> Results:
    names = ["de-en", "de-fr", "en-de", "en-fr"]
    arms = {
        arm: {
            name: {
                "bleu": 1.0,
                "chrf++": float(values_of("chrf++", rows["chrf++"].sum(axis=0)[None])[0]),
                "loss": 2.0,
                "n": 80,
            }
            for name, rows in found.items()
        }
        for arm, found in statistics.items()
    }
    significance = arms_significance(statistics, names, groups_of(names, ["de-fr"], []), SETTINGS)
    return Results.model_validate({
        "arms": arms, "signatures": {}, "environment": {}, "directions": names, "zero_shot": ["de-fr"],
        "pivot": "en", "significance": significance,
        "tiers": {"high": ["de"], "low": ["fr"]}, "families": {"de": "Germanic", "fr": "Romance"},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("base", "specialized", ("specialized", "base")),
        ("specialized", "dense", ("specialized", "dense")),
        ("specialized", "random", ("specialized", "random")),
        ("dense", "random", ("dense", "random")),
        ("lape-g", "random-g", ("lape-g", "random-g")),
        ("specialized", "lora", ("specialized", "lora")),
        ("lora", "adapters", ("adapters", "lora")),
    ],
)
def test_differences_are_method_minus_control(earlier: str, later: str, expected: tuple[str, str]) -> None:
    assert method_and_control(earlier, later) == expected


def test_tables_show_method_minus_control_whatever_the_file_holds(results: Results) -> None:
    content = results.to_json()
    pairs = content["significance"]["pairs"]
    entry = pairs["specialized"].pop("dense")
    for mean in [by_metric["average"] for by_metric in entry.values()]:
        mean["difference"] *= -1
        for bounds in ("these_directions", "other_directions"):
            mean[bounds] = {"low": -mean[bounds]["high"], "high": -mean[bounds]["low"]}
    pairs["dense"]["specialized"] = entry
    shown = []
    for one in (results, Results.model_validate(content)):
        table = significance_table(one)
        assert table is not None
        shown.append({row[0]: row[1:] for row in table.rows})
        assert set(shown[-1]) == {"specialized − base", "dense − base", "specialized − dense"}
    assert shown[0]["specialized − dense"][:2] == shown[1]["specialized − dense"][:2]


def test_all_pairs_of_arms_but_copy(results: Results) -> None:
    assert results.significance is not None
    pairs = results.to_json()["significance"]["pairs"]
    assert {(one, other) for one, others in pairs.items() for other in others} == {
        ("specialized", "base"), ("dense", "base"), ("specialized", "dense"),
    }  # fmt: skip
    json.dumps(pairs, allow_nan=False)
    assert "200 trials" in results.significance.method["p"]
    assert "200 resamples" in results.significance.method["these_directions"]
    entry = pairs["specialized"]["base"]["chrf++"]
    assert set(entry["directions"]) == {"en-de", "de-en", "de-fr"}
    assert set(entry["directions"]["en-de"]) == {
        "difference", "low", "high", "p", "holm_p", "sacrebleu_bootstrap_p",
    }  # fmt: skip
    assert (entry["average"]["n"], entry["average"]["of"]) == (2, 3)
    assert (entry["zero_shot"]["n"], entry["zero_shot"]["of"]) == (1, 1)
    assert entry["zero_shot"]["other_directions"] is None, "one direction says nothing of others"
    these, other = (entry["average"][kind] for kind in ("these_directions", "other_directions"))
    assert other["low"] < these["low"] < entry["average"]["difference"] < these["high"] < other["high"]
    assert entry["average"]["correlation"] is None, "nothing says that the directions share sentences"


def test_differences_are_found_both_ways(results: Results) -> None:
    assert results.significance is not None
    one = results.difference("specialized", "base", "chrf++", "en-de")
    other = results.difference("base", "specialized", "chrf++", "en-de")
    assert one is not None and other is not None
    assert one.difference == -other.difference > 2
    assert (one.low, one.high) == (-other.high, -other.low)
    assert one.p == other.p and one.significant
    scores = results.arms
    expected = (scores["specialized"]["en-de"].chrf or 0) - (scores["base"]["en-de"].chrf or 0)
    assert one.difference == pytest.approx(expected, abs=1e-4)
    mean = results.significance.average("base", "dense", "chrf++")
    assert mean is not None and mean.difference < 0
    turned = results.significance.average("dense", "base", "chrf++")
    assert turned is not None and turned.these_directions is not None and mean.these_directions is not None
    assert turned.these_directions.low == -mean.these_directions.high
    assert results.difference("specialized", "base", "chrf++", "en-fr") is None
    assert changed(results, significance=None).difference("specialized", "base", "chrf++", "en-de") is None


def judged(p: float, holm_p: float) -> DirectionTest:
    return DirectionTest(difference=1, low=0, high=2, p=p, holm_p=holm_p, sacrebleu_bootstrap_p=0.001)


def test_marks() -> None:
    assert marks(None) == ""
    assert marks(judged(0.05, 0.05)) == ""
    assert marks(judged(0.02, 0.06)) == "*"
    assert marks(judged(0.001, 0.02)) == "**"
    older = DirectionTest(difference=1, low=0, high=2, p=None, holm_p=None, sacrebleu_bootstrap_p=0.001)
    assert marks(older) == "", "sacreBLEU's bootstrap marks nothing"


def test_too_few_trials_for_holm_are_told(
    statistics: dict[str, dict[str, Statistics]], caplog: pytest.LogCaptureFixture
) -> None:
    names = ["de-en", "de-fr", "en-de", "en-fr"]
    arms_significance(statistics, names, {"average": names}, ScoreSettings(resamples=20, trials=100))
    assert not caplog.records
    arms_significance(statistics, names, {"average": names}, ScoreSettings(resamples=20, trials=79))
    assert "with 79 trials and 4 directions no difference can be marked **" in caplog.text
    assert "set it to 160 or more" in caplog.text


def test_sentences_that_directions_share_are_drawn_jointly(statistics: dict[str, dict[str, Statistics]]) -> None:
    """The same errors in every direction: drawn one by one they would average out."""
    same = {arm: dict.fromkeys(("en-de", "en-fr", "en-it"), found["en-de"]) for arm, found in statistics.items()}
    ids = dict.fromkeys(("en-de", "en-fr", "en-it"), np.arange(80))
    pair = ("specialized", "base")
    apart, together = (
        compare_systems(same, [pair], list(ids), ids=one, resamples=400, trials=10)[pair]["chrf++"].average
        for one in (None, ids)
    )
    assert apart is not None and together is not None
    assert apart.correlation is None and together.correlation == pytest.approx(1)
    widths = []
    for mean in (apart, together):
        assert mean.these_directions is not None and mean.other_directions is not None
        widths.append(mean.these_directions.high - mean.these_directions.low)
        assert mean.other_directions.high - mean.other_directions.low >= widths[-1] * 0.999
    assert widths[1] == pytest.approx(3**0.5 * widths[0], rel=0.2)


def rows(table: Any) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table.rows}


def test_tables_mark_what_is_significant(results: Results) -> None:
    found = rows(arms_table(results))
    assert found["specialized"][3].endswith(" (2 of 3)") and found["specialized"][3].startswith("+")
    assert "Means: *" in arms_table(results).note and "Other training seeds may differ" in arms_table(results).note
    by_direction = directions_table(results)
    assert "not corrected" in by_direction.note and "Holm" in by_direction.note
    shown = rows(by_direction)
    assert shown["en-de"][3].endswith("**")  # specialized, against dense
    assert shown["en-fr"][3] == "–"
    assert not shown["de-en"][4].endswith("*")  # dense itself


def test_zero_shot_has_a_table_of_its_own(results: Results) -> None:
    table = zero_shot_table(results)
    assert table is not None
    assert [row[0] for row in table.rows] == ["mean of 1", "de-fr"]
    assert arms_table(results).title == "Arms, mean of 3 directions"
    assert zero_shot_table(changed(results, zero_shot=[])) is None


def test_who_pays_and_who_profits(results: Results) -> None:
    table = transfer_table(results, "base")
    assert table is not None
    assert table.columns[1:] == ["high out (1)", "high into (1)", "low out (1)", "all out (2)", "all into (1)"]
    found = rows(table)
    assert set(found) == {"specialized", "dense"}
    assert found["dense"][1] == "+0.0 (0:0)"
    assert found["specialized"][0].endswith("(1:0)")
    assert found["specialized"][2] == "–"
    assert found["specialized"][3].endswith("(1 of 2) (1:0)")
    assert transfer_table(results, "bilingual") is None
    bilingual = changed(results, arms={**results.arms, "bilingual": results.arms["specialized"]})
    over = transfer_table(bilingual, "bilingual")
    assert over is not None and rows(over)["base"][0].endswith("(0:1)"), "interference: base loses to bilingual"
    gains = gains_table(results, "base")
    assert gains is not None and rows(gains)["en-de"][0].endswith("**")
    assert rows(gains)["en-fr"][0] == "–"


def test_significance_table_counts_directions(results: Results) -> None:
    table = significance_table(results)
    assert table is not None
    found = rows(table)
    assert table.columns[2:5] == ["95%, these directions", "95%, other directions", "r"]
    assert found["specialized − base"][4:] == ["2 (2, 2)", "0 (0, 0)"]
    assert found["specialized − base"][0].endswith(" (2 of 3)")
    assert "for the models that were trained" in table.note
    assert "of 3" in table.note
    assert significance_table(changed(results, significance=None)) is None


def test_every_table_has_a_file(results: Results) -> None:
    names = set(all_tables(results))
    assert names >= {
        "arms", "other_scores", "bleu_by_tier", "chrf_by_tier", "chrf_by_family", "chrf_by_direction", "chrf_zero_shot",
        "chrf_significance", "chrf_over_base_by_tier", "chrf_over_dense_by_direction",
    }  # fmt: skip
    assert "chrf_over_bilingual_by_tier" not in names


def test_directions_that_nobody_shares_give_no_average(statistics: dict[str, dict[str, Statistics]]) -> None:
    lone = {"one": {"en-de": statistics["base"]["en-de"]}, "two": {"de-en": statistics["base"]["de-en"]}}
    assert compare_systems(lone, [("one", "two")], ["en-de", "de-en"]) == {("one", "two"): {}}
