"""95% intervals of a mean, each for what it generalises over.

A mean over directions varies with the test sentences, with the directions that were chosen, and with the random seeds
of training. The units that vary (directions, seeds, baselines) are few, so their part of the variance is estimated from
the observed values and widened by Student's t. Sentences are many: their part comes from resampling. Units that are
tested on the same sentences share some of it, which their spread doesn't show; it is added as the mean covariance of
two units.

For a sum of such variances no critical value is exact. With two or three units that of Satterthwaite (1946) is too
small, and that of Cochran and Cox (1950) too large; the value halfway between them comes close to 95% coverage
(`benchmarks/calibration.py`). Where one variance is all there is, all three are Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% confidence interval.

    Args:
        low, high: its ends.
    """

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0

    def around(self, inner: Interval) -> Interval:
        """The same, but no narrower than one that generalises over less: few units may agree by chance."""
        return Interval(min(self.low, inner.low), max(self.high, inner.high))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a variance, and the degrees of freedom that it was estimated with."""

    variance: float
    freedom: float


def over_sentences(mean: float, samples: Array, sentences: int) -> Interval | None:
    """For other sentences: the directions and the trainings stay the same. None for one, which says nothing of others.

    Args:
        mean: that was observed.
        samples: of the mean, on resamples of the sentences. Shape [resamples].
        sentences: that were drawn from.
    """
    if sentences < 2:
        return None
    return _interval(mean, [_Part(float(samples.var()) * _correction(sentences), sentences - 1)])


def over_units(values: Sequence[float], samples: Array | None = None, sentences: int = 0) -> Interval | None:
    """For other units of the same kind, such as other directions, or other seeds; None for fewer than two.

    Args:
        values: of each unit.
        samples: of each unit on the same resamples of sentences that they share, `[units, resamples]`; None where they
            share none.
        sentences: that were drawn from.
    """
    count = len(values)
    if count < 2:
        return None
    parts = [_Part(float(np.var(values, ddof=1)) / count, count - 1)]
    if samples is not None:
        shared = (float(samples.sum(axis=0).var()) - float(samples.var(axis=1).sum())) / (count * (count - 1))
        parts.append(_Part(max(shared * _correction(sentences), 0.0), max(sentences - 1, 1)))
    return _interval(float(np.mean(values)), parts)


def over_both(values: Array, samples: Array | None = None, sentences: int = 0) -> Interval | None:
    """For other units of two crossed kinds, such as directions and seeds; None for fewer than two of a kind.

    Args:
        values: `[units of one kind, units of the other]`.
        samples: as in `over_units`, `[units of one kind, units of the other, resamples]`.
        sentences: that were drawn from.
    """
    rows, columns = values.shape
    if min(rows, columns) < 2:
        return None
    cells = rows * columns
    by_row, by_column = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_row[:, None] - by_column[None] + values.mean()
    degrees = (rows - 1) * (columns - 1)
    one = _Part(float(by_row.var(ddof=1)) / rows, rows - 1)
    other = _Part(float(by_column.var(ddof=1)) / columns, columns - 1)
    # the interaction is in both of them, and belongs there once
    both = _Part(-min(float((rest**2).sum()) / degrees / cells, one.variance, other.variance), degrees)
    parts = [one, other, both]
    if samples is not None:
        pairs = float(samples.sum(axis=(0, 1)).var()) - float(samples.sum(axis=1).var(axis=1).sum())
        pairs += float(samples.var(axis=2).sum()) - float(samples.sum(axis=0).var(axis=1).sum())
        shared = pairs / (cells * degrees)
        parts.append(_Part(max(shared * _correction(sentences), 0.0), max(sentences - 1, 1)))
    return _interval(float(values.mean()), parts)


def over_parts(mean: float, parts: Sequence[Array]) -> Interval | None:
    """For other units of several kinds at once, such as seeds and two sets of directions; None for one of a kind.

    Args:
        mean: that was observed.
        parts: by kind, what each of its units has as a mean over the units of the other kinds. The variances of their
            means are added, which counts twice what two kinds share: on the safe side.
    """
    if any(len(values) < 2 for values in parts):
        return None
    return _interval(mean, [_Part(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in parts])


def correlation(samples: Array) -> float | None:
    """The mean correlation of two units over resamples of the sentences that they share; None without a pair.

    Args:
        samples: `[units, resamples]`; units that never vary are left out.
    """
    varying = samples[samples.std(axis=1) > 0]
    if len(varying) < 2:
        return None
    return float(np.corrcoef(varying)[np.triu_indices(len(varying), 1)].mean())


def _correction(sentences: int) -> float:
    """From the variance under random weights to that of a sample of so many sentences."""
    return (sentences + 1) / (sentences - 1) if sentences > 1 else 1.0


def _interval(mean: float, parts: Sequence[_Part]) -> Interval:
    from scipy.special import stdtrit

    variance = sum(part.variance for part in parts)
    if variance <= 0:
        return Interval(mean, mean)
    level = (1 + CONFIDENCE) / 2
    freedom = 1 / sum((part.variance / variance) ** 2 / part.freedom for part in parts)
    satterthwaite = float(stdtrit(freedom, level))
    cochran_cox = sum(part.variance * float(stdtrit(part.freedom, level)) for part in parts) / variance
    half = (satterthwaite + cochran_cox) / 2 * variance**0.5
    return Interval(mean - half, mean + half)
