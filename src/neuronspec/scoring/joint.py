"""Resampling the sentences of all test sets together: a sentence that several directions have is drawn for all of them.

In multi-parallel test sets a sentence that is hard for one system tends to be hard in every direction, so the errors of
the directions' scores go together. Drawing each test set by itself would make means over directions look too sure.

Each resample gives every sentence a random weight with mean and variance 1 (the Bayesian bootstrap of Rubin, 1981).
Other than drawing with replacement this also works where directions have only some of their sentences in common: none
is ever left without a sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from neuronspec.scoring.resampling import CHUNK, SEED
from neuronspec.scoring.score import values_of
from neuronspec.scoring.statistics import Statistics, Values

System = TypeVar("System", bound=Hashable)
Ids = npt.NDArray[np.int64]
"""By line of a test set, the number of its sentence; the same in every direction that has the sentence."""


class JointSamples(Generic[System]):
    """The scores of systems on resamples of the sentences, which are the same for all systems and directions.

    Args:
        statistics: by system, direction and metric.
        ids: of the sentences by direction; without them, no two directions share a sentence.
        resamples: how many.
        metrics: those that matter; all by default.
        seed: of the weights.
    """

    def __init__(
        self,
        statistics: Mapping[System, Mapping[str, Statistics]],
        ids: Mapping[str, Ids] | None = None,
        *,
        resamples: int = 1000,
        metrics: Collection[str] | None = None,
        seed: int = SEED,
    ) -> None:
        lines: dict[str, int] = {}
        for found in statistics.values():
            lines |= {name: len(next(iter(rows.values()))) for name, rows in found.items() if rows}
        self._places, self.sentences, self.shared = _number(lines, ids)
        self._samples: dict[tuple[System, str, str], Values] = {}
        stacks = {name: _stack(statistics, name, metrics) for name in lines}
        self._samples = {
            (system, name, metric): np.empty(resamples)
            for name, (_, columns) in stacks.items()
            for system, metric, _ in columns
        }
        random = np.random.default_rng(seed)
        for start in range(0, resamples, step := max(1, CHUNK // max(self.sentences, 1))):
            count = min(step, resamples - start)
            weights = random.standard_exponential(size=(count, self.sentences))
            for name, (rows, columns) in stacks.items():
                own = weights[:, self._places[name]]
                sums = (own * (len(rows) / own.sum(axis=1, keepdims=True))) @ rows
                for system, metric, place in columns:
                    self._samples[system, name, metric][start : start + count] = values_of(metric, sums[:, place])

    def samples(self, system: System, direction: str, metric: str) -> Values:
        """The scores of a system in a direction. Shape [resamples]."""
        return self._samples[system, direction, metric]

    def differences(self, system: System, baseline: System, direction: str, metric: str) -> Values:
        """The scores of a system less those of another. Shape [resamples]."""
        return self.samples(system, direction, metric) - self.samples(baseline, direction, metric)


def _number(lines: Mapping[str, int], ids: Mapping[str, Ids] | None) -> tuple[dict[str, Ids], int, bool]:
    """By direction the place of each line among all sentences, the number of these, and whether any is shared."""
    if not lines:
        return {}, 0, False
    if ids is None:
        ends = np.cumsum(list(lines.values()))
        places = {name: np.arange(end - count, end) for (name, count), end in zip(lines.items(), ends, strict=True)}
        return places, int(ends[-1]), False
    known, inverse = np.unique(np.concatenate([ids[name] for name in lines]), return_inverse=True)
    parts = np.split(inverse, np.cumsum(list(lines.values()))[:-1])
    places = dict(zip(lines, parts, strict=True))
    return places, len(known), len(known) < sum(len(np.unique(part)) for part in parts)


def _stack(
    statistics: Mapping[System, Mapping[str, Statistics]], name: str, metrics: Collection[str] | None
) -> tuple[npt.NDArray[np.float64], list[tuple[System, str, slice]]]:
    """The rows of all systems and metrics of a direction side by side, and which columns are whose."""
    parts, columns, end = [], [], 0
    for system, found in statistics.items():
        for metric, rows in found.get(name, {}).items():
            if metrics is None or metric in metrics:
                parts.append(rows)
                columns.append((system, metric, slice(end, end + rows.shape[1])))
                end += rows.shape[1]
    return np.concatenate(parts, axis=1), columns
