"""Which differences between arms are more than chance: tests by direction, intervals over directions.

`results.json` holds them under `significance`:

    {"method": {...}, "pairs": {SYSTEM: {BASELINE: {METRIC: {
        "directions": {"en-de": {"difference", "low", "high", "bootstrap_p", "randomization_p", "holm_p"}},
        "average": {"difference", "low", "high", "n", "of"}, "zero_shot": the same or absent}}}}}

Each pair of arms stands there once, as later arm minus earlier arm; `difference_of` and `average_of` find both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from neuronspec.scoring.resampling import SEED, Difference, Interval, PairedTests, hierarchical_interval, holm
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics, Values

LEVEL = 0.05
"""Differences with a smaller p-value are marked."""

METHOD_NOTE = (
    "* p < 0.05, paired bootstrap, not corrected; ** also after Holm's correction for the number of directions. "
    "Means: * the 95% interval of the hierarchical bootstrap (directions, then sentences) leaves out 0."
)
"""What the marks in tables mean."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm against another by one metric.

    Args:
        directions: by direction, the tests.
        holm_p: by direction, the bootstrap's p corrected for the number of directions.
        average: over the trained directions; None if none was tested.
        zero_shot: over the zero-shot directions; None if there are none.
    """

    directions: dict[str, Difference]
    holm_p: dict[str, float]
    average: Interval | None
    zero_shot: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as in `results.json`."""
        content: dict[str, Any] = {
            "directions": {
                name: {
                    "difference": _short(found.value),
                    "low": _short(found.low),
                    "high": _short(found.high),
                    "bootstrap_p": _short(found.bootstrap_p),
                    "randomization_p": None if found.randomization_p is None else _short(found.randomization_p),
                    "holm_p": _short(self.holm_p[name]),
                }
                for name, found in self.directions.items()
            }
        }
        for name, interval in (("average", self.average), ("zero_shot", self.zero_shot)):
            if interval is not None:
                content[name] = {
                    "difference": _short(interval.mean),
                    "low": _short(interval.low),
                    "high": _short(interval.high),
                    "n": interval.n,
                    "of": interval.of,
                }
        return content


Pairs = dict[tuple[str, str], dict[str, Comparison]]
"""By (system, baseline), and by metric."""


def compare_systems(
    statistics: Mapping[str, Mapping[str, Statistics]],
    pairs: Sequence[tuple[str, str]],
    directions: Sequence[str],
    zero_shot: Sequence[str] = (),
    *,
    resamples: int = 1000,
    trials: int = 10_000,
    progress: Callable[[], None] | None = None,
) -> Pairs:
    """Test pairs of systems on every test set that both translated.

    Args:
        statistics: by system, direction and metric.
        pairs: (system, baseline).
        directions: that should be tested.
        zero_shot: those of them that weren't trained; they get an average of their own.
        resamples: of the bootstrap.
        trials: of the approximate randomization; 0 leaves it out.
        progress: called after each direction.
    """
    tests: dict[tuple[str, str], dict[str, dict[str, tuple[Difference, Values]]]] = {pair: {} for pair in pairs}
    for name in directions:
        systems = {system: found[name] for system, found in statistics.items() if name in found}
        here = [pair for pair in pairs if set(pair) <= set(systems)]
        if here:
            made = PairedTests(systems, resamples=resamples, trials=trials)
            for pair, metrics in made.compare(here).items():
                for metric, difference in metrics.items():
                    samples = made.samples(pair[0], metric) - made.samples(pair[1], metric)
                    tests[pair].setdefault(metric, {})[name] = difference, samples
        if progress is not None:
            progress()
    untrained = set(zero_shot)
    trained = [name for name in directions if name not in untrained]
    return {
        pair: {metric: _comparison(found, trained, list(zero_shot)) for metric, found in metrics.items()}
        for pair, metrics in tests.items()
    }


def _comparison(found: Mapping[str, tuple[Difference, Values]], trained: list[str], zero_shot: list[str]) -> Comparison:
    def interval(names: list[str]) -> Interval | None:
        there = [name for name in names if name in found]
        if not there:
            return None
        return hierarchical_interval(
            [found[name][0].value for name in there], [found[name][1] for name in there], len(names)
        )

    directions = {name: difference for name, (difference, _) in found.items()}
    corrected = holm({name: difference.bootstrap_p for name, difference in directions.items()})
    return Comparison(directions, corrected, interval(trained), interval(zero_shot))


def arms_significance(
    statistics: Mapping[str, Mapping[str, Statistics]],
    directions: Sequence[str],
    zero_shot: Sequence[str],
    settings: ScoreSettings,
    progress: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """All pairs of arms (but `copy`), as `results.json` holds them.

    Args:
        statistics: by arm, direction and metric.
        directions: that were to be evaluated.
        zero_shot: those of them that weren't trained.
        settings: say how many resamples and trials.
        progress: called after each direction.
    """
    resamples, trials = settings.resamples, settings.trials
    arms = {arm: found for arm, found in statistics.items() if arm != "copy"}
    pairs = [(later, earlier) for earlier, later in combinations(arms, 2)]
    made = compare_systems(arms, pairs, directions, zero_shot, resamples=resamples, trials=trials, progress=progress)
    content: dict[str, Any] = {}
    for (system, baseline), metrics in made.items():
        by_metric = {metric: comparison.to_json() for metric, comparison in metrics.items()}
        content.setdefault(system, {})[baseline] = by_metric
    return {"method": method(resamples, trials), "pairs": content}


def method(resamples: int, trials: int) -> dict[str, Any]:
    """How the tests were made, as plain JSON values."""
    return {
        "bootstrap": f"paired, {resamples} resamples, two-sided",
        "randomization": f"paired approximate, {trials} trials, two-sided",
        "seed": SEED,
        "level": LEVEL,
        "correction": "holm_p: Holm over the directions of a pair of arms, of bootstrap_p; the others: none",
        "average": "95% interval, hierarchical bootstrap: directions, then sentences",
    }


def difference_of(
    results: Mapping[str, Any], system: str, baseline: str, metric: str, direction: str
) -> dict[str, Any] | None:
    """The test of one arm against another in a direction, from the content of `results.json`; None if there is none."""
    for found, sign in _entries(results, system, baseline):
        entry = found.get(metric, {}).get("directions", {}).get(direction)
        if entry is not None:
            return _signed(entry, sign)
    return None


def average_of(
    results: Mapping[str, Any], system: str, baseline: str, metric: str, kind: str = "average"
) -> dict[str, Any] | None:
    """The mean difference of two arms with its interval, from the content of `results.json`; None if there is none."""
    for found, sign in _entries(results, system, baseline):
        entry = found.get(metric, {}).get(kind)
        if entry is not None:
            return _signed(entry, sign)
    return None


def marks(test: Mapping[str, Any] | None) -> str:
    """`**`, `*` or nothing, for a test of one direction."""
    if test is None or test["bootstrap_p"] >= LEVEL:
        return ""
    return "**" if test["holm_p"] < LEVEL else "*"


def _entries(results: Mapping[str, Any], system: str, baseline: str) -> Iterator[tuple[dict[str, Any], int]]:
    pairs = results.get("significance", {}).get("pairs", {})
    for one, other, sign in ((system, baseline, 1), (baseline, system, -1)):
        if other in pairs.get(one, {}):
            yield pairs[one][other], sign


def _signed(entry: Mapping[str, Any], sign: int) -> dict[str, Any]:
    if sign > 0:
        return dict(entry)
    turned = {"difference": -entry["difference"], "low": -entry["high"], "high": -entry["low"]}
    return {**entry, **turned}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
