"""The frontier of an adaptation: what a way to adapt gains, against what it makes the other directions forget.

Any way to adapt a model can be made to gain more and forget more, by its learning rate, its budget, its share of
replay. So single trainings say little, and frontiers are compared: the gain in the adapted directions at the same
forgetting in the others (as in Liu and Niehues, 2025, arXiv 2510.19546). A method's frontier goes through `base`, which
gains and forgets nothing, and its trainings than which no other one gains more at no more forgetting.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from neuronspec.scoring.intervals import Interval, over_parts
from neuronspec.sweep.settings import Training
from neuronspec.sweep.sweep_results import Entry, SweepResults


class Measure(NamedTuple):
    """What gain and forgetting are measured in: its unit, the budgets of forgetting to compare at, and decimals."""

    unit: str
    budgets: tuple[float, ...]
    digits: int


MEASURES = {
    "chrf++": Measure("chrF++", (0.0, 0.2, 0.5), 2),
    "loss": Measure("nats per token", (0.0, 0.05, 0.1), 3),
}
"""By key of `Entry.over_base`."""


@dataclass(frozen=True)
class Point:
    """The trainings of an entry with one group of settings.

    Args:
        label: of the entry and its settings.
        gains: over `base` in the adapted directions, `[trainings, directions]`.
        changes: from `base` in the others, `[trainings, directions]`.
        trainings: which each row is: the seeds, or the baseline whose trainings it is the mean of; without it, rows of
            two points in one place are one training.
    """

    label: str
    gains: np.ndarray
    changes: np.ndarray
    trainings: tuple[Hashable, ...] = ()

    @property
    def rows(self) -> dict[Hashable, int]:
        """The row of each training."""
        return {each: row for row, each in enumerate(self.trainings or range(len(self.gains)))}

    @property
    def gain(self) -> float:
        """The mean over trainings and directions."""
        return float(self.gains.mean())

    @property
    def forgetting(self) -> float:
        """The mean loss in the other directions; below 0 where they gain, too."""
        return -float(self.changes.mean())


@dataclass(frozen=True)
class At:
    """A method at a budget of forgetting.

    Args:
        gain: on its frontier.
        interval: 95%, for other trainings and other directions of this kind; None with one training or direction.
        by_training: by training that all points around it have, a part that the interval is made from.
        by_adapted, by_other: its other parts, by direction.
        labels: of the points that the frontier is between there.
    """

    gain: float
    interval: Interval | None
    by_training: Mapping[Hashable, float]
    by_adapted: np.ndarray
    by_other: np.ndarray
    labels: tuple[str, ...]

    def minus(self, other: At) -> tuple[float, Interval | None]:
        """The difference in gain from another method, and its interval; trainings and directions are paired.

        Trainings that only one of them has aren't in the interval, which is None with fewer than two in common.
        """
        both = [each for each in self.by_training if each in other.by_training]
        by_training = np.array([self.by_training[each] - other.by_training[each] for each in both])
        parts = [by_training, self.by_adapted - other.by_adapted, self.by_other - other.by_other]
        return self.gain - other.gain, over_parts(self.gain - other.gain, parts)


@dataclass(frozen=True)
class Frontier:
    """A method's points, those on its frontier first, in the order of forgetting.

    Args:
        method: its name.
        points: all of it.
    """

    method: str
    points: tuple[Point, ...]

    @property
    def best(self) -> list[Point]:
        """The points than which none gains more at no more forgetting, by forgetting. `base` is one of them."""
        first, trainings = self.points[0], tuple(dict.fromkeys(each for point in self.points for each in point.rows))
        gains, changes = (np.zeros((len(trainings), values.shape[1])) for values in (first.gains, first.changes))
        base = Point("base", gains, changes, trainings)
        kept: list[Point] = []
        for point in sorted([base, *self.points], key=lambda each: (each.forgetting, -each.gain)):
            if not kept or point.gain > kept[-1].gain:
                kept.append(point)
        return kept

    @staticmethod
    def places(points: Sequence[Point]) -> list[tuple[float, float]]:
        """The forgetting and the gain of each point."""
        return [(point.forgetting, point.gain) for point in points]

    def at(self, budget: float) -> At:
        """The method at a budget of forgetting, between the two points around it in a straight line."""
        best = self.best
        below = [point for point in best if point.forgetting <= budget] or best[:1]
        above = [point for point in best if point.forgetting > budget]
        low, high = below[-1], above[0] if above else below[-1]
        width = high.forgetting - low.forgetting
        part = min(max((budget - low.forgetting) / width, 0.0), 1.0) if width > 0 else 0.0
        slope = (high.gain - low.gain) / width if width > 0 and 0 < part < 1 else 0.0
        gain = (1 - part) * low.gain + part * high.gain
        # what a training forgets more than the frontier says costs it as much gain as the frontier is steep there
        rows = {each: (row, high.rows[each]) for each, row in low.rows.items() if each in high.rows}
        by_training = {
            each: float((1 - part) * (low.gains[row].mean() + slope * low.changes[row].mean()))
            + float(part * (high.gains[other].mean() + slope * high.changes[other].mean()))
            for each, (row, other) in rows.items()
        }
        by_adapted = (1 - part) * low.gains.mean(axis=0) + part * high.gains.mean(axis=0)
        by_other = slope * ((1 - part) * low.changes.mean(axis=0) + part * high.changes.mean(axis=0))
        labels = tuple(dict.fromkeys((low.label, high.label) if part > 0 else (low.label,)))
        interval = over_parts(gain, [np.array([*by_training.values()]), by_adapted, by_other])
        return At(gain, interval, by_training, by_adapted, by_other, labels)


def frontiers(results: SweepResults, metric: str = "chrf++") -> list[Frontier]:
    """The frontier of each method of a sweep, in the order of its entries; none where nothing is adapted.

    Args:
        results: of the sweep.
        metric: a key of `MEASURES`.
    """
    methods: dict[str, list[Point]] = {}
    for label, entry in results.entries.items():
        found = entry.over_base.get(metric)
        if not results.adapted or found is None:
            continue
        adapted, others = (_values(found, names) for names in (results.adapted, _others(results)))
        if adapted is not None and others is not None:
            methods.setdefault(entry.method, []).append(_point(label, entry, adapted, others, results.over))
    return [Frontier(method, tuple(points)) for method, points in methods.items()]


def _point(label: str, entry: Entry, gains: np.ndarray, changes: np.ndarray, over: str) -> Point:
    """Of an entry; seeds on one baseline are no replications of each other, so with several there is a row of each."""
    trained: Sequence[Training] = entry.trained or [*product(entry.base_seeds or [0], entry.seeds)]
    if over == "seeds" or len(trained) != len(gains):
        return Point(label, gains, changes, tuple(trained) if len(trained) == len(gains) else ())
    bases = tuple(dict.fromkeys(base for base, _ in trained))
    own = [[base == each for base, _ in trained] for each in bases]
    gains, changes = (np.stack([values[rows].mean(axis=0) for rows in own]) for values in (gains, changes))
    return Point(label, gains, changes, bases)


def _others(results: SweepResults) -> list[str]:
    adapted = {*results.adapted, *results.zero_shot}
    return [name for name in results.directions if name not in adapted]


def _values(found: Mapping[str, Sequence[float]], names: Sequence[str]) -> np.ndarray | None:
    """`[trainings, directions]`; None where a direction is missing."""
    if not names or any(name not in found for name in names):
        return None
    return np.array([found[name] for name in names]).T
