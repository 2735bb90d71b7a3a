"""Results of version 0.1 are read with the tests of today, as far as they have the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_json
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.transfer import all_tables
from neuronspec.report.page import summary
from neuronspec.scoring.resampling import holm

FILE = Path(__file__).parents[1] / "fixtures" / "run_0_1" / "run" / "results.json"


def test_old_tests_are_taken_over() -> None:
    old = json.loads(FILE.read_text(encoding="utf-8"))["significance"]["pairs"]["specialized"]["base"]["chrf++"]
    results = Results.load(FILE)
    assert results.significance is not None
    new = results.significance.pairs["specialized"]["base"]["chrf++"]
    p = {name: test["randomization_p"] for name, test in old["directions"].items()}
    assert {name: test.p for name, test in new.directions.items()} == p
    assert {name: test.holm_p for name, test in new.directions.items()} == pytest.approx(holm(p))
    # sacreBLEU's bootstrap called this one significant, also after correction
    assert old["directions"]["de-en"]["holm_p"] < 0.05
    assert not new.directions["de-en"].significant and new.directions["de-en"].sacrebleu_bootstrap_p < 0.05
    mean = new.average
    assert mean is not None
    assert (mean.difference, mean.n, mean.of) == tuple(old["average"][key] for key in ("difference", "n", "of"))
    assert mean.these_directions is None and mean.other_directions is None, "they need resamples"


def test_tables_of_old_results_are_made() -> None:
    tables = all_tables(Results.load(FILE))
    assert tables["chrf_significance"].rows[0][2] == "–"
    for name in ("arms", "chrf_significance", "chrf_by_direction", "chrf_over_base_by_direction"):
        assert "version 0.1 made these results" in tables[name].note and "Means: *" not in tables[name].note


def _with_equal_gains() -> dict[str, Any]:
    """Old results in which `specialized` is above `base` by the same in each direction, and has an old interval."""
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    for name, score in content["arms"]["specialized"].items():
        score["chrf++"] = content["arms"]["base"][name]["chrf++"] + 1
    found = content["significance"]["pairs"]["specialized"]["base"]["chrf++"]
    for test in found["directions"].values():
        test["difference"] = 1.0
    found["average"] |= {"difference": 1.0, "low": 0.9, "high": 1.1}
    return content


def test_means_of_old_results_have_no_mark_and_no_interval(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", _with_equal_gains())
    results = Results.load(tmp_path / "results.json")
    tables = all_tables(results)
    (gain,) = (row[4] for row in tables["arms"].rows if row[0] == "specialized")
    assert gain == "+1.0"
    (row,) = (row for row in tables["chrf_significance"].rows if row[0] == "specialized − base")
    assert row[1:5] == ["+1.00", "–", "–", "–"]


def test_the_summary_of_the_report_says_why_there_is_no_interval() -> None:
    (told,) = summary._comparison(Results.load(FILE), "dense", ["de-en", "en-de"])
    assert told.endswith("(one seed; no interval, as version 0.1 made the results).") and "chance" not in told


def test_zero_shot_directions_have_their_own_mean(tmp_path: Path) -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["zero_shot"] = ["en-it", "it-en"]
    for others in content["significance"]["pairs"].values():
        for metrics in others.values():
            for found in metrics.values():
                found["zero_shot"] = {"difference": 0.0, "low": -1.0, "high": 1.0, "n": 2, "of": 2}
    write_json(tmp_path / "results.json", content)
    results = Results.load(tmp_path / "results.json")
    assert results.significance is not None
    found = results.significance.average("specialized", "base", "chrf++", "zero_shot")
    assert found is not None and (found.n, found.other_directions) == (2, None)


def test_a_damaged_old_significance_is_told(tmp_path: Path) -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["significance"]["pairs"]["specialized"]["base"]["chrf++"]["directions"]["de-en"].pop("bootstrap_p")
    write_json(tmp_path / "results.json", content)
    with pytest.raises(EvaluationError, match="is damaged.*significance of an older version"):
        Results.load(tmp_path / "results.json")
