"""Numbers over several seeds: mean, deviation, and the t-tests that cover the randomness of training."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neuronspec.scoring.intervals import Interval, over_units


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """A number over several seeds.

    Args:
        values: of each run.
        mean, deviation: of the values; the deviation (of a sample) is None for one run.
        p: of the two-sided t-test that the mean is 0, for differences; None for fewer than 2 runs.
        interval: its 95% interval for other seeds, for differences; None for fewer than 2 runs.
    """

    values: list[float]
    mean: float
    deviation: float | None
    p: float | None
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        bounds = {"low": self.interval.low, "high": self.interval.high} if self.interval else None
        return {"mean": self.mean, "sd": self.deviation, "p": self.p, "other_seeds": bounds, "values": self.values}


@dataclass(frozen=True, slots=True)
class SeedDifference:
    """A number of two experiments over seeds.

    Args:
        first, second: of each experiment.
        difference: of the means, second minus first.
        test: which test over seeds.
        p: its p-value; None if a side has a single run.
    """

    first: SeedSummary
    second: SeedSummary
    difference: float
    test: str
    p: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        sides = {"first": self.first.to_json(), "second": self.second.to_json()}
        return {**sides, "difference": self.difference, "test": self.test, "p": self.p}


def summarize_seeds(values: Sequence[float], *, test: bool = False) -> SeedSummary:
    """Mean and deviation over runs, and for differences the t-test."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    p = _t_test(values) if test and len(values) > 1 else None
    return SeedSummary(list(values), statistics.fmean(values), deviation, p, over_units(values) if test else None)


def _t_test(differences: Sequence[float]) -> float:
    """The p of the paired t-test, two-sided; 1 where all differences are 0, 0 where they are equal and aren't 0."""
    from scipy import stats

    if len(set(differences)) == 1:
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def seed_test(first: list[float], second: list[float], paired: bool) -> tuple[str, float | None]:
    """Which test over seeds is made, and its p; no p if a side has a single run."""
    if paired:
        differences = [two - one for one, two in zip(first, second, strict=True)]
        return "paired t-test over seeds", summarize_seeds(differences, test=True).p
    if min(len(first), len(second)) < 2:
        return "none: one side has a single run", None
    return "Welch's t-test over seeds", _welch_test(first, second)


def _welch_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The p of Welch's test, two-sided; where neither side varies, 1 if they are equal, else 0."""
    from scipy import stats

    if len(set(first)) == len(set(second)) == 1:
        return float(first[0] == second[0])
    return float(stats.ttest_ind(second, first, equal_var=False).pvalue)
