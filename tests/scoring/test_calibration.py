"""A short run of `benchmarks/calibration.py`: what ships finds about as much as it should where there is nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SIMULATIONS = 60


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        calibration = importlib.import_module("calibration")
        return calibration.calibrate(SIMULATIONS, resamples=200, trials=800, directions=18)


def flat(content: dict[str, Any]) -> dict[str, float]:
    """By name, or by name and number of directions."""
    found: dict[str, float] = {}
    for name, value in content.items():
        found |= {f"{name}, {key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return found


def test_tests_reject_about_as_often_as_they_say(found: dict[str, Any]) -> None:
    sizes = flat(found["size"])
    assert len(sizes) == 9
    # 60 simulations at 5%: a standard error of 2.8%; of a thousand directions, less
    assert {name: rate for name, rate in sizes.items() if rate > 0.17} == {}
    assert 0.03 < sizes["approximate randomization"] < 0.07
    assert flat(found["family_wise_error"])["approximate randomization, 18"] < 0.17


def test_intervals_hold_the_truth_about_as_often_as_they_say(found: dict[str, Any]) -> None:
    coverage = flat(found["coverage"])
    assert len(coverage) == 2 + 3 * (2 * 2 + 3 * 2)
    assert {name: rate for name, rate in coverage.items() if rate < 0.84} == {}


def test_what_was_replaced_did_not(found: dict[str, Any]) -> None:
    before = {kind: flat(rates) for kind, rates in found["before"].items()}
    assert before["size"]["sacreBLEU's bootstrap"] > 0.08
    assert before["size"]["family test, sizes differ by 0.08, on overlap above chance"] > 0.2
    assert before["size"]["t-test over seeds, for other baselines (their sd 2 x the seeds')"] > 0.15
    assert before["coverage"]["hierarchical bootstrap, sentences shared (r 0.3), 18"] < 0.9
