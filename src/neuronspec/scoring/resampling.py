"""Paired tests on sufficient statistics: sacreBLEU's tests with its random draws, for all arms of a direction at once.

- Paired approximate randomization (Riezler and Maxwell, 2005): the two systems swap each sentence with probability 1/2.
  Marks and Holm's correction are based on it: under the null hypothesis that the systems are interchangeable, its
  two-sided p-value is exact for any metric and any number of sentences, and the bootstrap's only nearly so.
- Paired bootstrap (Koehn, 2004): sentences are drawn with replacement. It gives the interval. The p-value that
  sacreBLEU computes from it is one-sided in effect (`benchmarks/calibration.py`: at p < 0.05 it finds twice as many
  differences as it should where there are none). It is kept to be compared with sacreBLEU's command line, and marks
  nothing.

`sacrebleu --paired-bs` and `--paired-ar` draw the same resamples for every system of a test set. So the draws are made
once per test set, the sums of all arms are matrix products, and the p-values are those that sacreBLEU prints, at a
hundredth of its time. With one exception: draws that tie with the difference count here. sacreBLEU leaves them out,
which calls two equal systems, or two that differ in a single sentence, significantly different.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from neuronspec.scoring.score import values_of
from neuronspec.scoring.statistics import Statistics, Values

Key = TypeVar("Key", bound=Hashable)

SEED = 12345
"""sacreBLEU's."""

CHUNK = 1 << 22
"""Random numbers drawn at a time; a multiple of 32, so that the stream of random bits is the same as undivided."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two systems on one test set by one metric.

    Args:
        value: score of the system minus that of the baseline.
        low, high: 95% interval of the difference (percentiles of the bootstrap).
        p: of the paired approximate randomization, two-sided.
        sacrebleu_bootstrap_p: what `sacrebleu --paired-bs` prints; too small.
    """

    value: float
    low: float
    high: float
    p: float
    sacrebleu_bootstrap_p: float


class PairedTests:
    """All paired tests on one test set.

    Args:
        systems: statistics of each system, `{system: {metric: [sentences, columns]}}`.
        resamples: of the bootstrap.
        trials: of the approximate randomization.
        seed: of both.
    """

    def __init__(
        self, systems: Mapping[str, Statistics], *, resamples: int = 1000, trials: int = 10_000, seed: int = SEED
    ) -> None:
        self._systems = systems
        self._trials, self._seed = trials, seed
        self.sentences = len(next(iter(next(iter(systems.values())).values())))
        names = [(system, metric) for system, found in systems.items() for metric in found]
        sums = _bootstrap_sums([systems[system][metric] for system, metric in names], resamples, seed)
        self._samples = {name: values_of(name[1], rows) for name, rows in zip(names, sums, strict=True)}
        self._totals = {(system, metric): systems[system][metric].sum(axis=0) for system, metric in names}

    def score(self, system: str, metric: str) -> float:
        """The score of a system on the test set."""
        return float(values_of(metric, self._totals[system, metric][None])[0])

    def samples(self, system: str, metric: str) -> Values:
        """The scores of a system on the resamples of the bootstrap, the same sentences for all. Shape [resamples]."""
        return self._samples[system, metric]

    def compare(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Difference]]:
        """Test pairs (system, baseline) by every metric that both have: `{pair: {metric: Difference}}`."""
        shared = {pair: [m for m in self._systems[pair[0]] if m in self._systems[pair[1]]] for pair in pairs}
        keys = [(pair, metric) for pair, metrics in shared.items() for metric in metrics]
        randomized = self._randomize(keys)
        tests: dict[tuple[str, str], dict[str, Difference]] = {pair: {} for pair in pairs}
        for (system, baseline), metric in keys:
            difference = self.score(system, metric) - self.score(baseline, metric)
            samples = self.samples(system, metric) - self.samples(baseline, metric)
            absolute = np.abs(samples)
            low, high = np.percentile(samples, [2.5, 97.5])
            tests[system, baseline][metric] = Difference(
                difference,
                float(low),
                float(high),
                randomized[(system, baseline), metric],
                _p_value(_reaching(absolute - absolute.mean(), abs(difference)), len(absolute)),
            )
        return tests

    def _randomize(self, keys: list[tuple[tuple[str, str], str]]) -> dict[tuple[tuple[str, str], str], float]:
        """p-values of the approximate randomization."""
        names = list(dict.fromkeys((system, metric) for pair, metric in keys for system in pair))
        stacked = np.concatenate([self._systems[system][metric] for system, metric in names], axis=1)
        ends = np.cumsum([len(self._totals[name]) for name in names])
        columns = {name: slice(end - len(self._totals[name]), end) for name, end in zip(names, ends, strict=True)}
        reaching = dict.fromkeys(keys, 0)
        for chosen in _coin_flips(self._trials, self.sentences, self._seed):
            heads = chosen.astype(np.float64) @ stacked
            tails = stacked.sum(axis=0) - heads
            for (system, baseline), metric in keys:
                mine, theirs = columns[system, metric], columns[baseline, metric]
                one = values_of(metric, heads[:, theirs] + tails[:, mine])
                other = values_of(metric, tails[:, theirs] + heads[:, mine])
                difference = abs(self.score(system, metric) - self.score(baseline, metric))
                reaching[(system, baseline), metric] += _reaching(np.abs(one - other), difference)
        return {key: _p_value(count, self._trials) for key, count in reaching.items()}


def _reaching(statistics: Values, difference: float) -> int:
    """How many statistics are as large as the difference, but for rounding."""
    return int((statistics >= difference - 1e-9 * (1 + difference)).sum())


def _p_value(reaching: int, draws: int) -> float:
    """The share of draws that reach the difference; one more counts as if it did, as in sacreBLEU."""
    return (reaching + 1) / (draws + 1)


def _bootstrap_sums(systems: list[np.ndarray], resamples: int, seed: int) -> list[np.ndarray]:
    """The summed statistics of each system in each resample, `[resamples, columns]`."""
    stacked = np.concatenate(systems, axis=1)
    sentences = len(stacked)
    random = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, rows := max(1, CHUNK // sentences)):
        count = min(rows, resamples - start)
        drawn = random.choice(sentences, size=(count, sentences), replace=True)
        places = drawn + np.arange(count)[:, None] * sentences
        weights = np.bincount(places.ravel(), minlength=count * sentences).reshape(count, sentences)
        parts.append(weights.astype(np.float64) @ stacked)
    sums = np.concatenate(parts)
    return np.split(sums, np.cumsum([system.shape[1] for system in systems])[:-1], axis=1)


def _coin_flips(trials: int, sentences: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    """The sentences that come from the first system, in parts of `[trials, sentences]`."""
    random = np.random.default_rng(seed)
    rows = max(32, CHUNK // sentences // 32 * 32)
    for start in range(0, trials, rows):
        yield random.integers(2, size=(min(rows, trials - start), sentences), dtype=np.bool_)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Correct p-values for the number of tests (Holm, 1979).

    Args:
        p_values: by any key.

    Returns:
        The adjusted p-values by the same keys, in the order given.

    Examples:
        >>> holm({"a": 0.01, "b": 0.04})
        {'a': 0.02, 'b': 0.04}
    """
    corrected: dict[Key, float] = {}
    largest = 0.0
    for rank, (name, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, value * (len(p_values) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}
