"""The frontier of an adaptation: what a way to adapt gains, against what it makes the other directions forget.

Any way to adapt a model can be made to gain more and forget more, by its learning rate, its budget, its share of
replay. So single trainings say little, and frontiers are compared: the gain in the adapted directions at the same
forgetting in the others (as in Liu and Niehues, 2025, arXiv 2510.19546). A method's frontier goes through `base`, which
gains and forgets nothing, and its trainings than which no other one gains more at no more forgetting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from neuronspec.scoring.intervals import Interval, over_parts
from neuronspec.sweep.sweep_results import SweepResults


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
    """

    label: str
    gains: np.ndarray
    changes: np.ndarray

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
        by_training, by_adapted, by_other: the parts that the interval is made from.
        labels: of the points that the frontier is between there.
    """

    gain: float
    interval: Interval | None
    by_training: np.ndarray
    by_adapted: np.ndarray
    by_other: np.ndarray
    labels: tuple[str, ...]

    def minus(self, other: At) -> tuple[float, Interval | None]:
        """The difference in gain from another method, and its interval; trainings and directions are paired."""
        if len(self.by_training) != len(other.by_training):
            return self.gain - other.gain, None
        parts = [
            self.by_training - other.by_training, self.by_adapted - other.by_adapted, self.by_other - other.by_other
        ]  # fmt: skip
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
        first = self.points[0]
        base = Point("base", np.zeros_like(first.gains), np.zeros_like(first.changes))
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
        gains = (1 - part) * low.gains + part * high.gains
        # what a training forgets more than the frontier says costs it as much gain as the frontier is steep there
        others = slope * ((1 - part) * low.changes + part * high.changes)
        gain = float(gains.mean())
        by_training = gains.mean(axis=1) + others.mean(axis=1)
        by_adapted, by_other = gains.mean(axis=0), others.mean(axis=0)
        labels = tuple(dict.fromkeys((low.label, high.label) if part > 0 else (low.label,)))
        interval = over_parts(gain, [by_training, by_adapted, by_other])
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
            methods.setdefault(entry.method, []).append(Point(label, adapted, others))
    return [Frontier(method, tuple(points)) for method, points in methods.items()]


def _others(results: SweepResults) -> list[str]:
    adapted = {*results.adapted, *results.zero_shot}
    return [name for name in results.directions if name not in adapted]


def _values(found: Mapping[str, Sequence[float]], names: Sequence[str]) -> np.ndarray | None:
    """`[trainings, directions]`; None where a direction is missing."""
    if not names or any(name not in found for name in names):
        return None
    return np.array([found[name] for name in names]).T
