"""How much each entry gains over the baselines of the sweep, and how sure that is.

Two kinds of uncertainty are kept apart. The interval of the hierarchical bootstrap covers the choice of directions and
of test sentences, for the mean over the seeds that were trained; the t-test over seeds covers the randomness of
training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from neuronspec.evaluation.results import ArmScores
from neuronspec.evaluation.seeds import summarize_seeds
from neuronspec.scoring.resampling import PairedTests, hierarchical_interval
from neuronspec.scoring.statistics import Statistics, Values
from neuronspec.sweep.nodes import Node
from neuronspec.sweep.settings import Sweep

TESTED = ("bleu", "chrf++")


@dataclass
class Found:
    """What was evaluated under one label, by seed (0 for what has no seed).

    Args:
        nodes: the run folders.
        scores, statistics: by direction.
    """

    nodes: dict[int, Node] = field(default_factory=dict)
    scores: dict[int, ArmScores] = field(default_factory=dict)
    statistics: dict[int, dict[str, Statistics]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction: the difference of each seed, and the mean over seeds on resamples of the sentences."""

    by_seed: list[float]
    samples: Values


class Differences:
    """All differences of a sweep.

    Args:
        sweep: says which entries are baselines.
        found: what was evaluated, by entry.
        groups: directions by name of the group.
        resamples: of the bootstrap.
    """

    def __init__(
        self, sweep: Sweep, found: Mapping[str, Found], groups: Mapping[str, Sequence[str]], resamples: int
    ) -> None:
        self._sweep, self._found, self._groups, self._resamples = sweep, found, groups, resamples

    def to_json(self) -> dict[str, Any]:
        """By entry and baseline; the layout is described in `cell_results`."""
        content: dict[str, Any] = {}
        for entry, one in self._found.items():
            if not one.nodes[min(one.nodes)].cell:
                continue
            for baseline in self._sweep.baselines:
                name = self._sweep.baseline_of(entry, baseline, self._found)
                seeds = sorted(one.scores.keys() & self._found[name].scores.keys()) if name else []
                if name and name != entry and seeds:
                    content.setdefault(entry, {})[name] = self._compare(entry, name, seeds)
        return content

    def _compare(self, entry: str, baseline: str, seeds: Sequence[int]) -> dict[str, Any]:
        by_direction = self._test(entry, baseline, seeds)
        content: dict[str, Any] = {}
        for metric in TESTED:
            for group, names in self._groups.items():
                tested = [by_direction[name][metric] for name in names if name in by_direction]
                if tested:
                    content.setdefault(metric, {})[group] = _group(tested, len(names))
        return content

    def _test(self, entry: str, baseline: str, seeds: Sequence[int]) -> dict[str, dict[str, _Direction]]:
        """By direction that both have in all seeds, and metric."""
        pairs = [(self._found[entry].statistics[seed], self._found[baseline].statistics[seed]) for seed in seeds]
        names = [name for name in pairs[0][0] if all(name in one and name in other for one, other in pairs)]
        return {name: self._test_direction([(one[name], other[name]) for one, other in pairs]) for name in names}

    def _test_direction(self, pairs: Sequence[tuple[Any, Any]]) -> dict[str, _Direction]:
        tests = [
            PairedTests({"entry": one, "baseline": other}, resamples=self._resamples, trials=0) for one, other in pairs
        ]
        return {
            metric: _Direction(
                [test.score("entry", metric) - test.score("baseline", metric) for test in tests],
                np.mean([test.samples("entry", metric) - test.samples("baseline", metric) for test in tests], axis=0),
            )
            for metric in TESTED
        }


def _group(tested: Sequence[_Direction], of: int) -> dict[str, Any]:
    interval = hierarchical_interval(
        [fmean(direction.by_seed) for direction in tested], [direction.samples for direction in tested], of
    )
    by_seed = [fmean(values) for values in zip(*(direction.by_seed for direction in tested), strict=True)]
    seeds = summarize_seeds(by_seed, test=True)
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "of": of,
        "seeds": {"mean": seeds.mean, "sd": seeds.deviation, "p": seeds.p, "values": seeds.values},
    }
