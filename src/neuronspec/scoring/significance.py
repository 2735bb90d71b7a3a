"""Which differences between arms are more than chance: tests by direction, intervals over directions.

`results.json` holds them under `significance`:

    {"method": {...}, "pairs": {SYSTEM: {BASELINE: {METRIC: {
        "directions": {"en-de": {"difference", "low", "high", "p", "holm_p", "sacrebleu_bootstrap_p"}},
        "average": {"difference", "n", "of", "these_directions": {"low", "high"}, "other_directions": {"low", "high"},
                    "correlation"},
        "zero_shot": the same or absent}}}}}

Each pair of arms is there once, as later arm minus earlier arm; `Significance.difference` and `average` find both ways.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import ceil
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from neuronspec.core.progress import SILENT, Progress
from neuronspec.scoring.intervals import Interval, correlation, over_sentences, over_units
from neuronspec.scoring.joint import Ids, JointSamples
from neuronspec.scoring.resampling import SEED, Difference, PairedTests, holm
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics

logger = logging.getLogger(__name__)

LEVEL = 0.05
"""Differences with a smaller p-value are marked."""

METHOD_NOTE = (
    "* p < 0.05 in this direction (approximate randomization, two-sided, not corrected); ** also after Holm's "
    "correction for the number of directions. Means: * the 95% interval for other directions of this kind excludes 0. "
    "Other training seeds may differ."
)
"""What the marks in tables mean."""


class _Entry(BaseModel):
    """A part of `results.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DirectionTest(_Entry):
    """One arm against another in one direction by one metric.

    Args:
        difference: of the scores.
        low, high: its 95% interval, for other sentences.
        p: of the paired approximate randomization; None where an older version didn't compute it.
        holm_p: `p`, corrected for the number of directions.
        sacrebleu_bootstrap_p: what `sacrebleu --paired-bs` prints; too small, and marks nothing.
    """

    difference: float
    low: float
    high: float
    p: float | None
    holm_p: float | None
    sacrebleu_bootstrap_p: float

    @property
    def significant(self) -> bool:
        """Whether p is below the level, not corrected."""
        return self.p is not None and self.p < LEVEL

    @property
    def significant_corrected(self) -> bool:
        """Whether it still is after Holm's correction."""
        return self.holm_p is not None and self.holm_p < LEVEL

    def turned(self) -> DirectionTest:
        """The other arm against this one."""
        turned = {"difference": -self.difference, "low": -self.high, "high": -self.low}
        return self.model_copy(update=turned)


class Bounds(_Entry):
    """The ends of a 95% interval."""

    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval | None) -> Bounds | None:
        """From an interval, if there is one."""
        return None if interval is None else cls(low=_short(interval.low), high=_short(interval.high))

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0

    def turned(self) -> Bounds:
        """Of the difference with the opposite sign."""
        return Bounds(low=-self.high, high=-self.low)


class MeanDifference(_Entry):
    """One arm against another over directions, for the models that were trained.

    Args:
        difference: the mean.
        n: directions that were tested.
        of: directions that should have been.
        these_directions: its 95% interval for other sentences; None in results of older versions.
        other_directions: its 95% interval for other directions of this kind and other sentences; None for one
            direction.
        correlation: of the directions' differences over resamples of the sentences that they share, mean over pairs;
            None where they share none.
    """

    difference: float
    n: int
    of: int
    these_directions: Bounds | None = None
    other_directions: Bounds | None = None
    correlation: float | None = None

    @property
    def significant(self) -> bool:
        """Whether 0 is outside of the interval for other directions."""
        return self.other_directions is not None and self.other_directions.excludes_zero

    def turned(self) -> MeanDifference:
        """The other arm against this one."""
        turned = {
            name: None if bounds is None else bounds.turned()
            for name, bounds in (
                ("these_directions", self.these_directions),
                ("other_directions", self.other_directions),
            )
        }
        return self.model_copy(update={"difference": -self.difference, **turned})


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
    ids: Mapping[str, Ids] | None = None,
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
        ids: by direction, which sentences the test sets have in common; None: none.
        resamples: of the bootstrap.
        trials: of the approximate randomization.
        progress: shows how far it is, in directions.
    """
    tests: dict[tuple[str, str], dict[str, dict[str, Difference]]] = {pair: {} for pair in pairs}
    for name in progress.track(directions, "testing significance"):
        systems = {system: found[name] for system, found in statistics.items() if name in found}
        here = [pair for pair in pairs if set(pair) <= set(systems)]
        if here:
            made = PairedTests(systems, resamples=resamples, trials=trials)
            for pair, metrics in made.compare(here).items():
                for metric, difference in metrics.items():
                    tests[pair].setdefault(metric, {})[name] = difference
    samples = JointSamples(statistics, ids, resamples=resamples)
    trained = [name for name in directions if name not in set(zero_shot)]
    kinds = {"average": trained, "zero_shot": list(zero_shot)}
    return {
        pair: {metric: _comparison(found, kinds, samples, pair, metric) for metric, found in metrics.items()}
        for pair, metrics in tests.items()
    }


def _comparison(
    found: Mapping[str, Difference],
    kinds: Mapping[str, list[str]],
    samples: JointSamples[str],
    pair: tuple[str, str],
    metric: str,
) -> Comparison:
    corrected = holm({name: test.p for name, test in found.items()})
    tests = {
        name: DirectionTest(
            difference=_short(test.value),
            low=_short(test.low),
            high=_short(test.high),
            p=_short(test.p),
            holm_p=_short(corrected[name]),
            sacrebleu_bootstrap_p=_short(test.sacrebleu_bootstrap_p),
        )
        for name, test in found.items()
    }
    means = {}
    for kind, names in kinds.items():
        there = [name for name in names if name in found]
        if there:
            drawn = np.stack([samples.differences(*pair, name, metric) for name in there])
            means[kind] = mean_difference([found[name].value for name in there], drawn, samples, len(names))
    return Comparison(directions=tests, **means)


def mean_difference(
    differences: Sequence[float], drawn: np.ndarray, samples: JointSamples[Any], of: int
) -> MeanDifference:
    """The mean over directions with its intervals.

    Args:
        differences: of each direction.
        drawn: the same on resamples, `[directions, resamples]`.
        samples: what the resamples were drawn from.
        of: directions that should have been tested.
    """
    mean = float(np.mean(differences))
    shared = drawn if samples.shared else None
    measured = correlation(drawn) if samples.shared else None
    these = over_sentences(mean, drawn.mean(axis=0), samples.sentences)
    other = over_units(differences, shared, samples.sentences)
    return MeanDifference(
        difference=_short(mean),
        n=len(differences),
        of=of,
        these_directions=Bounds.of(these),
        other_directions=Bounds.of(other and other.around(these)),
        correlation=None if measured is None else _short(measured),
    )


def arms_significance(
    statistics: Mapping[str, Mapping[str, Statistics]],
    directions: Sequence[str],
    zero_shot: Sequence[str],
    settings: ScoreSettings,
    ids: Mapping[str, Ids] | None = None,
    progress: Progress = SILENT,
) -> Significance:
    """Test all pairs of arms (but `copy`).

    Args:
        statistics: by arm, direction and metric.
        directions: that were to be evaluated.
        zero_shot: those of them that weren't trained.
        settings: say how many resamples and trials.
        ids: by direction, which sentences the test sets have in common; None: none.
        progress: shows how far it is, in directions.
    """
    resamples, trials = settings.resamples, settings.trials
    arms = {arm: found for arm, found in statistics.items() if arm != "copy"}
    pairs = [(later, earlier) for earlier, later in combinations(arms, 2)]
    warn_of_few_trials(trials, len(directions))
    made = compare_systems(
        arms, pairs, directions, zero_shot, ids=ids, resamples=resamples, trials=trials, progress=progress
    )
    found: dict[str, dict[str, dict[str, Comparison]]] = {}
    for (system, baseline), metrics in made.items():
        found.setdefault(system, {})[baseline] = metrics
    return Significance(method=method(resamples, trials), pairs=found)


def warn_of_few_trials(trials: int, tests: int) -> None:
    """Say so if Holm's correction leaves no p-value below the level, however large a difference is."""
    if tests / (trials + 1) >= LEVEL:
        logger.warning(
            "evaluation.scores.trials: with %d trials and %d directions no difference can be marked ** (Holm's "
            "correction); set it to %d or more",
            trials, tests, 2 * ceil(tests / LEVEL),
        )  # fmt: skip


def method(resamples: int, trials: int) -> dict[str, Any]:
    """How the tests were made, as plain JSON values."""
    return {
        "p": f"paired approximate randomization, {trials} trials, two-sided",
        "holm_p": "p, corrected by Holm over the directions of a pair of arms; the others are not corrected",
        "sacrebleu_bootstrap_p": f"as sacrebleu --paired-bs, {resamples} resamples; too small, for comparison only",
        "seed": SEED,
        "level": LEVEL,
        "these_directions": "95% interval of the mean for other sentences, which are drawn jointly where directions "
        f"share them ({resamples} resamples)",
        "other_directions": "95% interval of the mean for other directions of this kind and other sentences (Student's "
        "t over directions, and the covariance of directions that share sentences)",
        "training": "the intervals and tests are for the models that were trained, not for other seeds",
    }


def marks(test: DirectionTest | None) -> str:
    """`**`, `*` or nothing, for a test of one direction."""
    if test is None or not test.significant:
        return ""
    return "**" if test.significant_corrected else "*"


def _short(value: float) -> float:
    return float(f"{value:.6g}")
