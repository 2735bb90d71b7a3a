"""Results of version 0.1 are read with the tests of today, as far as they have the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_json
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.transfer import all_tables
from neuronspec.scoring.intervals import over_units
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
    mean, expected = new.average, over_units([test["difference"] for test in old["directions"].values()])
    assert mean is not None and mean.other_directions is not None and expected is not None
    assert (mean.n, mean.of) == (old["average"]["n"], old["average"]["of"])
    assert mean.other_directions.low == pytest.approx(expected.low)
    assert mean.these_directions is None, "it needs resamples"


def test_tables_of_old_results_are_made() -> None:
    tables = all_tables(Results.load(FILE))
    assert tables["chrf_significance"].rows[0][2] == "–"
    assert "Means: *" in tables["arms"].note


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
    found = results.significance.pairs["specialized"]["base"]["chrf++"]
    values = [found.directions[name].difference for name in ("en-it", "it-en")]
    expected = over_units(values)
    assert found.zero_shot is not None and found.zero_shot.other_directions is not None and expected is not None
    assert found.zero_shot.other_directions.high == pytest.approx(expected.high)


def test_a_damaged_old_significance_is_told(tmp_path: Path) -> None:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    content["significance"]["pairs"]["specialized"]["base"]["chrf++"]["directions"]["de-en"].pop("bootstrap_p")
    write_json(tmp_path / "results.json", content)
    with pytest.raises(EvaluationError, match="is damaged.*significance of an older version"):
        Results.load(tmp_path / "results.json")
