"""Resampling the sentences of all test sets together: a sentence that several directions have is drawn for all of them.

In multi-parallel test sets a sentence that is hard for one system tends to be hard in every direction, so the errors of
the directions' scores go together. Drawing each test set by itself would make means over directions look too sure.

Each resample gives every sentence a random weight with mean and variance 1 (the Bayesian bootstrap of Rubin, 1981).
Other than drawing with replacement this also works where directions have only some of their sentences in common: none
is ever left without a sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from itertools import groupby
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
        wanted = [
            (system, name, metric, rows)
            for system, found in statistics.items()
            for name, by_metric in found.items()
            for metric, rows in by_metric.items()
            if metrics is None or metric in metrics
        ]
        wanted.sort(key=lambda one: one[1])  # by direction: its weights are drawn once
        self._samples = {(system, name, metric): np.empty(resamples) for system, name, metric, _ in wanted}
        random = np.random.default_rng(seed)
        for start in range(0, resamples, step := max(1, CHUNK // max(self.sentences, 1))):
            part = slice(start, min(start + step, resamples))
            weights = random.standard_exponential(size=(part.stop - start, self.sentences))
            for name, group in groupby(wanted, key=lambda one: one[1]):
                own = weights[:, self._places[name]]
                own *= own.shape[1] / own.sum(axis=1, keepdims=True)
                for system, _, metric, rows in group:
                    self._samples[system, name, metric][part] = values_of(metric, own @ rows)

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
    for name, count in lines.items():
        if len(ids[name]) != count:
            raise ValueError(f"{name}: {count} lines were scored, and {len(ids[name])} have a number")
    known, inverse = np.unique(np.concatenate([ids[name] for name in lines]), return_inverse=True)
    parts = np.split(inverse, np.cumsum(list(lines.values()))[:-1])
    places = dict(zip(lines, parts, strict=True))
    return places, len(known), len(known) < sum(len(np.unique(part)) for part in parts)
