"""Which differences between systems are more than chance: the tests of all pairs, as `significance` describes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import ceil
from typing import Any

import numpy as np

from neuronspec.core.progress import SILENT, Progress
from neuronspec.scoring.intervals import correlation, over_sentences, over_units
from neuronspec.scoring.joint import Ids, JointSamples
from neuronspec.scoring.resampling import SEED, Difference, PairedTests, holm
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.significance import (
    LEVEL,
    Bounds,
    Comparison,
    DirectionTest,
    Group,
    MeanDifference,
    Significance,
    method_and_control,
    short,
)
from neuronspec.scoring.statistics import Statistics

logger = logging.getLogger(__name__)

Pairs = dict[tuple[str, str], dict[str, Comparison]]
"""By (system, baseline), and by metric."""


def compare_systems(
    statistics: Mapping[str, Mapping[str, Statistics]],
    pairs: Sequence[tuple[str, str]],
    directions: Sequence[str],
    groups: Mapping[Group, Sequence[str]] | None = None,
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
        groups: of directions, each of which gets an average; without it, all are the group `average`.
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
    means = groups or {"average": directions}
    return {
        pair: {metric: _comparison(found, means, samples, pair, metric) for metric, found in metrics.items()}
        for pair, metrics in tests.items()
    }


def _comparison(
    found: Mapping[str, Difference],
    groups: Mapping[Group, Sequence[str]],
    samples: JointSamples[str],
    pair: tuple[str, str],
    metric: str,
) -> Comparison:
    corrected = holm({name: test.p for name, test in found.items()})
    tests = {
        name: DirectionTest(
            difference=short(test.value),
            low=short(test.low),
            high=short(test.high),
            p=short(test.p),
            holm_p=short(corrected[name]),
            sacrebleu_bootstrap_p=short(test.sacrebleu_bootstrap_p),
        )
        for name, test in found.items()
    }
    means: dict[str, MeanDifference] = {}
    for group, names in groups.items():
        there = [name for name in names if name in found]
        if there:
            drawn = np.stack([samples.differences(*pair, name, metric) for name in there])
            means[group] = mean_difference([found[name].value for name in there], drawn, samples, len(names))
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
    other = these and over_units(differences, shared, samples.sentences)
    return MeanDifference(
        difference=short(mean),
        n=len(differences),
        of=of,
        these_directions=Bounds.of(these),
        other_directions=Bounds.of(these and other and other.around(these)),
        correlation=None if measured is None else short(measured),
    )


def arms_significance(
    statistics: Mapping[str, Mapping[str, Statistics]],
    directions: Sequence[str],
    groups: Mapping[Group, Sequence[str]],
    settings: ScoreSettings,
    ids: Mapping[str, Ids] | None = None,
    progress: Progress = SILENT,
) -> Significance:
    """Test all pairs of arms (but `copy`).

    Args:
        statistics: by arm, direction and metric.
        directions: that were to be evaluated.
        groups: of directions, each of which gets an average.
        settings: say how many resamples and trials.
        ids: by direction, which sentences the test sets have in common; None: none.
        progress: shows how far it is, in directions.
    """
    resamples, trials = settings.resamples, settings.trials
    arms = {arm: found for arm, found in statistics.items() if arm != "copy"}
    pairs = [method_and_control(earlier, later) for earlier, later in combinations(arms, 2)]
    warn_of_few_trials(trials, len(directions))
    made = compare_systems(
        arms, pairs, directions, groups, ids=ids, resamples=resamples, trials=trials, progress=progress
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
