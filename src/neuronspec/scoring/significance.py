"""Which differences between arms are more than chance: tests by direction, intervals over directions.

`results.json` holds them under `significance`:

    {"method": {...}, "pairs": {SYSTEM: {BASELINE: {METRIC: {
        "directions": {"en-de": {"difference", "low", "high", "bootstrap_p", "randomization_p", "holm_p"}},
        "average": {"difference", "low", "high", "n", "of"}, "zero_shot": the same or absent}}}}}

Each pair of arms is there once, as later arm minus earlier arm; `Significance.difference` and `average` find both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from neuronspec.core.progress import SILENT, Progress
from neuronspec.scoring.resampling import SEED, Difference, PairedTests, hierarchical_interval, holm
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics, Values

LEVEL = 0.05
"""Differences with a smaller p-value are marked."""

METHOD_NOTE = (
    "* p < 0.05, paired bootstrap, not corrected; ** also after Holm's correction for the number of directions. "
    "Means: * the 95% interval of the hierarchical bootstrap (directions, then sentences) excludes 0."
)
"""What the marks in tables mean."""


class _Entry(BaseModel):
    """A part of `results.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DirectionTest(_Entry):
    """One arm against another in one direction by one metric.

    Args:
        difference: of the scores.
        low, high: its 95% interval.
        bootstrap_p: of the paired bootstrap.
        randomization_p: of the paired approximate randomization; None if it wasn't asked for.
        holm_p: `bootstrap_p`, corrected for the number of directions.
    """

    difference: float
    low: float
    high: float
    bootstrap_p: float
    randomization_p: float | None
    holm_p: float

    def turned(self) -> DirectionTest:
        """The other arm against this one."""
        return self.model_copy(update=_turned(self))


class MeanDifference(_Entry):
    """One arm against another over directions.

    Args:
        difference: the mean.
        low, high: its 95% interval.
        n: directions that were tested.
        of: directions that should have been.
    """

    difference: float
    low: float
    high: float
    n: int
    of: int

    @property
    def significant(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.low > 0 or self.high < 0

    def turned(self) -> MeanDifference:
        """The other arm against this one."""
        return self.model_copy(update=_turned(self))


class Comparison(_Entry):
    """One arm against another by one metric.

    Args:
        directions: the tests by direction.
        average: over the trained directions; None if none was tested.
        zero_shot: over the zero-shot directions; None if there are none.
    """

    directions: dict[str, DirectionTest]
    average: MeanDifference | None = None
    zero_shot: MeanDifference | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as in `results.json`."""
        return self.model_dump(mode="json", exclude_unset=True)


class Significance(_Entry):
    """All tests of a run.

    Args:
        method: how they were made.
        pairs: by later arm, earlier arm and metric.
    """

    method: dict[str, Any]
    pairs: dict[str, dict[str, dict[str, Comparison]]]

    def difference(self, system: str, baseline: str, metric: str, direction: str) -> DirectionTest | None:
        """The test of one arm against another in a direction, whichever is the later one; None if there is none."""
        for comparisons, swapped in self._of(system, baseline):
            found = comparisons[metric].directions.get(direction) if metric in comparisons else None
            if found is not None:
                return found.turned() if swapped else found
        return None

    def average(
        self, system: str, baseline: str, metric: str, kind: Literal["average", "zero_shot"] = "average"
    ) -> MeanDifference | None:
        """The mean difference of two arms over the trained or the zero-shot directions; None if there is none."""
        for comparisons, swapped in self._of(system, baseline):
            found: MeanDifference | None = getattr(comparisons.get(metric), kind, None)
            if found is not None:
                return found.turned() if swapped else found
        return None

    def _of(self, system: str, baseline: str) -> Iterator[tuple[dict[str, Comparison], bool]]:
        for one, other, swapped in ((system, baseline, False), (baseline, system, True)):
            if other in self.pairs.get(one, {}):
                yield self.pairs[one][other], swapped


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
    progress: Progress = SILENT,
) -> Pairs:
    """Test pairs of systems on every test set that both translated.

    Args:
        statistics: by system, direction and metric.
        pairs: (system, baseline).
        directions: that should be tested.
        zero_shot: those of them that weren't trained; they get an average of their own.
        resamples: of the bootstrap.
        trials: of the approximate randomization; 0 leaves it out.
        progress: shows how far it is, in directions.
    """
    tests: dict[tuple[str, str], dict[str, dict[str, tuple[Difference, Values]]]] = {pair: {} for pair in pairs}
    for name in progress.track(directions, "testing significance"):
        systems = {system: found[name] for system, found in statistics.items() if name in found}
        here = [pair for pair in pairs if set(pair) <= set(systems)]
        if here:
            made = PairedTests(systems, resamples=resamples, trials=trials)
            for pair, metrics in made.compare(here).items():
                for metric, difference in metrics.items():
                    samples = made.samples(pair[0], metric) - made.samples(pair[1], metric)
                    tests[pair].setdefault(metric, {})[name] = difference, samples
    untrained = set(zero_shot)
    trained = [name for name in directions if name not in untrained]
    return {
        pair: {metric: _comparison(found, trained, list(zero_shot)) for metric, found in metrics.items()}
        for pair, metrics in tests.items()
    }


def _comparison(found: Mapping[str, tuple[Difference, Values]], trained: list[str], zero_shot: list[str]) -> Comparison:
    def interval(names: list[str]) -> MeanDifference | None:
        there = [name for name in names if name in found]
        if not there:
            return None
        made = hierarchical_interval(
            [found[name][0].value for name in there], [found[name][1] for name in there], len(names)
        )
        return MeanDifference(
            difference=_short(made.mean), low=_short(made.low), high=_short(made.high), n=made.n, of=made.of
        )

    directions = {name: difference for name, (difference, _) in found.items()}
    corrected = holm({name: difference.bootstrap_p for name, difference in directions.items()})
    tests = {
        name: DirectionTest(
            difference=_short(found.value),
            low=_short(found.low),
            high=_short(found.high),
            bootstrap_p=_short(found.bootstrap_p),
            randomization_p=None if found.randomization_p is None else _short(found.randomization_p),
            holm_p=_short(corrected[name]),
        )
        for name, found in directions.items()
    }
    means = {"average": interval(trained), "zero_shot": interval(zero_shot)}
    return Comparison(directions=tests, **{name: mean for name, mean in means.items() if mean is not None})


def arms_significance(
    statistics: Mapping[str, Mapping[str, Statistics]],
    directions: Sequence[str],
    zero_shot: Sequence[str],
    settings: ScoreSettings,
    progress: Progress = SILENT,
) -> Significance:
    """Test all pairs of arms (but `copy`).

    Args:
        statistics: by arm, direction and metric.
        directions: that were to be evaluated.
        zero_shot: those of them that weren't trained.
        settings: say how many resamples and trials.
        progress: shows how far it is, in directions.
    """
    resamples, trials = settings.resamples, settings.trials
    arms = {arm: found for arm, found in statistics.items() if arm != "copy"}
    pairs = [(later, earlier) for earlier, later in combinations(arms, 2)]
    made = compare_systems(arms, pairs, directions, zero_shot, resamples=resamples, trials=trials, progress=progress)
    found: dict[str, dict[str, dict[str, Comparison]]] = {}
    for (system, baseline), metrics in made.items():
        found.setdefault(system, {})[baseline] = metrics
    return Significance(method=method(resamples, trials), pairs=found)


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


def marks(test: DirectionTest | None) -> str:
    """`**`, `*` or nothing, for a test of one direction."""
    if test is None or test.bootstrap_p >= LEVEL:
        return ""
    return "**" if test.holm_p < LEVEL else "*"


def _turned(entry: DirectionTest | MeanDifference) -> dict[str, float]:
    return {"difference": -entry.difference, "low": -entry.high, "high": -entry.low}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
