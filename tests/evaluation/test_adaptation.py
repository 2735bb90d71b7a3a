"""The table of an adaptation: what is gained, and what it does to the other directions."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from tests.helpers.fake_run import changed, fake_run

from neuronspec.evaluation.adaptation import adaptation_table, groups_of
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average
from neuronspec.evaluation.transfer import all_tables
from neuronspec.scoring.pairwise import arms_significance
from neuronspec.scoring.settings import ScoreSettings


def results(**changes: Any) -> Results:
    return changed(fake_run().results, **changes)


def test_groups_share_out_all_directions() -> None:
    names = ["de-en", "en-de", "en-fr", "fr-en", "de-fr"]
    assert groups_of(names, ["de-fr"], []) == {"average": names[:4], "zero_shot": ["de-fr"]}
    groups = groups_of(names, ["de-fr"], ["en-de", "de-en"])
    assert groups["adapted"] == ["de-en", "en-de"] and groups["others"] == ["en-fr", "fr-en"]
    assert sorted([*groups["adapted"], *groups["others"]]) == sorted(groups["average"])


def test_gain_and_change_side_by_side() -> None:
    names = sorted(results().arms["base"])
    adapted, zero_shot = names[:3], names[3:5]
    content = results(adapted=adapted, zero_shot=zero_shot)
    table = adaptation_table(content)
    assert table is not None and table.title == f"Adaptation to {', '.join(adapted)}: chrF++ over base"
    assert table.columns[1:] == [
        "gain, adapted (3)", "95%", f"change, others ({len(names) - 5})", "95%",
        "change, zero-shot (2)", "95%",
    ]  # fmt: skip
    rows = {row[0]: row for row in table.rows}
    assert "copy" not in rows and rows["base"][1] == ""
    for place, group in ((1, adapted), (3, names[5:]), (5, zero_shot)):
        expected = (
            average(content.arms["dense"], group, "chrf++").value - average(content.arms["base"], group, "chrf++").value
        )  # type: ignore[operator]
        assert rows["dense"][place].startswith(f"{expected:+.1f}")
    assert "chrf_adaptation" in all_tables(content) and "chrf_adaptation" not in all_tables(results())


def test_off_target_of_each_group_where_it_was_measured() -> None:
    arms = results().to_json()["arms"]
    names = sorted(arms["base"])
    for scores in arms.values():
        for place, name in enumerate(names):
            scores[name]["off_target"] = 50.0 if place < 2 else 25.0
    table = adaptation_table(results(arms=arms, adapted=names[:2]))
    assert table is not None and table.columns[-2].endswith(", adapted") and table.columns[-1].endswith(", others")
    assert [row[-2:] for row in table.rows if row[0] == "dense"] == [["50.0", "25.0"]]


def test_means_over_groups_have_intervals() -> None:
    draw = np.random.default_rng(random.Random(1).randint(0, 9))
    names = ["de-en", "en-de", "en-fr", "fr-en"]
    statistics = {
        arm: {name: {"chrf++": draw.integers(1, 9, size=(30, 24)).astype(float)} for name in names}
        for arm in ("base", "dense")
    }
    groups = groups_of(names, [], ["en-de", "de-en"])
    found = arms_significance(statistics, names, groups, ScoreSettings(resamples=50, trials=100))  # type: ignore[arg-type]
    adapted, others = (found.average("dense", "base", "chrf++", group) for group in ("adapted", "others"))
    assert adapted is not None and others is not None and (adapted.n, others.n) == (2, 2)
    tests = found.pairs["dense"]["base"]["chrf++"].directions
    assert abs(adapted.difference - (tests["en-de"].difference + tests["de-en"].difference) / 2) < 1e-5
    assert adapted.other_directions is not None
    turned = found.average("base", "dense", "chrf++", "others")
    assert turned is not None and turned.difference == -others.difference
