"""How much each entry gains over the baselines of the sweep, and for what it would hold.

A gain varies with the test sentences, with the directions, and with the randomness of training: of the continuation
(seeds), and of the baseline model that entries continue from (base seeds). Each interval names what it covers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuronspec.evaluation.results import ArmScores
from neuronspec.evaluation.seeds import summarize_seeds
from neuronspec.scoring.intervals import Interval, correlation, over_both, over_sentences, over_units
from neuronspec.scoring.joint import Ids, JointSamples
from neuronspec.scoring.statistics import Statistics
from neuronspec.sweep.nodes import Node
from neuronspec.sweep.settings import Sweep, Training
from neuronspec.sweep.sweep_results import Bounds, Gains, GroupDifference, PairedTest

TESTED = ("bleu", "chrf++")


@dataclass
class Found:
    """What was evaluated under one label, by the seeds of its training.

    Args:
        nodes: the run folders.
        scores, statistics: by direction.
    """

    nodes: dict[Training, Node] = field(default_factory=dict)
    scores: dict[Training, ArmScores] = field(default_factory=dict)
    statistics: dict[Training, dict[str, Statistics]] = field(default_factory=dict)


class Differences:
    """All differences of a sweep.

    Args:
        sweep: says which entries are baselines.
        found: what was evaluated, by entry.
        groups: directions by name of the group.
        ids: by direction, which sentences the test sets have in common.
        resamples: of the sentences.
    """

    def __init__(
        self,
        sweep: Sweep,
        found: Mapping[str, Found],
        groups: Mapping[str, Sequence[str]],
        ids: Mapping[str, Ids],
        resamples: int,
    ) -> None:
        self._sweep, self._found, self._groups = sweep, found, groups
        systems = {
            (label, training): statistics
            for label, one in found.items()
            if one.nodes[min(one.nodes)].cell
            for training, statistics in one.statistics.items()
        }
        self._samples = JointSamples(systems, ids, resamples=resamples, metrics=TESTED)

    def all(self) -> dict[str, dict[str, Gains]]:
        """By entry and baseline."""
        content: dict[str, dict[str, Gains]] = {}
        for entry, one in self._found.items():
            if not one.nodes[min(one.nodes)].cell:
                continue
            for baseline in self._sweep.baselines:
                name = self._sweep.baseline_of(entry, baseline, self._found)
                trainings = sorted(one.scores.keys() & self._found[name].scores.keys()) if name else []
                if name and name != entry and trainings:
                    content.setdefault(entry, {})[name] = self._compare(entry, name, trainings)
        return content

    def _compare(self, entry: str, baseline: str, trainings: Sequence[Training]) -> Gains:
        content: Gains = {}
        pairs = [(self._found[entry].scores[each], self._found[baseline].scores[each]) for each in trainings]
        for metric in TESTED:
            for group, names in self._groups.items():
                tested = [name for name in names if all(name in one and name in other for one, other in pairs)]
                if tested:
                    values = np.array([[_difference(*pair, name, metric) for name in tested] for pair in pairs])
                    drawn = self._drawn(entry, baseline, trainings, tested, metric)
                    bases = [base for base, _ in trainings]
                    found = group_difference(values, drawn, bases, self._samples, of=len(names))
                    content.setdefault(metric, {})[group] = found
        return content

    def _drawn(
        self, entry: str, baseline: str, trainings: Sequence[Training], directions: Sequence[str], metric: str
    ) -> np.ndarray:
        """The differences on resamples: `[trainings, directions, resamples]`."""
        pairs = [((entry, each), (baseline, each)) for each in trainings]
        return np.stack([[self._samples.differences(*pair, name, metric) for name in directions] for pair in pairs])


def group_difference(
    values: np.ndarray, drawn: np.ndarray, bases: Sequence[int], samples: JointSamples[Any], of: int
) -> GroupDifference:
    """The mean difference over a group of directions, with its intervals.

    Args:
        values: `[trainings, directions]`.
        drawn: the same on resamples, `[trainings, directions, resamples]`.
        bases: by training, the seed of the baseline that it continues.
        samples: what the resamples were drawn from.
        of: directions of the group, those that one side can't translate among them.
    """
    shared, sentences = samples.shared, samples.sentences
    several = sorted(set(bases))
    if len(several) > 1:  # seeds on one baseline are no replications of each other
        members = [[base == each for base in bases] for each in several]
        values = np.stack([values[own].mean(axis=0) for own in members])
        drawn = np.stack([drawn[own].mean(axis=0) for own in members])
    by_unit, unit_samples = values.mean(axis=1), drawn.mean(axis=1)
    summary = summarize_seeds([float(value) for value in by_unit], test=True)
    these = over_sentences(summary.mean, unit_samples.mean(axis=0), sentences)
    trainings = over_units(summary.values, unit_samples, sentences)
    trainings = these and trainings and trainings.around(these)
    directions = over_both(values, drawn if shared else None, sentences)
    directions = directions and trainings and directions.around(trainings)
    return GroupDifference(
        difference=summary.mean,
        n=values.shape[1],
        of=of,
        over="baselines" if len(several) > 1 else "seeds",
        these_trainings=_bounds(these),
        other_trainings=_bounds(trainings),
        other_directions=_bounds(directions),
        correlation=correlation(drawn.mean(axis=0)) if shared else None,
        seeds=PairedTest(mean=summary.mean, sd=summary.deviation, p=summary.p, values=summary.values),
    )


def _difference(one: ArmScores, other: ArmScores, name: str, metric: str) -> float:
    mine, theirs = one[name].get(metric), other[name].get(metric)
    assert mine is not None and theirs is not None, "every direction has BLEU and chrF++"
    return mine - theirs


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None else Bounds(low=interval.low, high=interval.high)
