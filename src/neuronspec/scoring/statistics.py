"""Sufficient statistics of sacreBLEU's metrics by sentence: what scores of any resampled test set are computed from.

A test set's score depends on the sums of these rows alone, so a thousand resamples are one matrix product. The
formulas below are sacreBLEU's, over many sums at once; tests hold them against sacreBLEU.

`RUN/evaluation/ARM/en-de.statistics.safetensors` holds an array `[sentences, columns]` a metric, and in its metadata
`scored_from`, a fingerprint of the text and the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuronspec.core.files import replacing

Rows = npt.NDArray[np.float64]
"""Statistics, shape [sentences, columns] or, summed over sentences, [resamples, columns]."""
Values = npt.NDArray[np.float64]
Statistics = dict[str, Rows]
"""By metric."""


def bleu_values(sums: Rows) -> Values:
    """BLEU with exponential smoothing of each row: hypothesis length, reference length, 4 matches, 4 totals."""
    hypothesis, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2:6], sums[:, 6:10]
    reached = np.cumprod(totals > 0, axis=1, dtype=np.bool_)  # an order without n-grams ends the precisions
    missed = reached & (matches == 0)
    smoothing = 2.0 ** np.cumsum(missed, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(missed, 100 / (smoothing * totals), 100 * matches / totals)
        # sacreBLEU's logarithm of 0 is -9999999999: the score is 0
        logarithms = np.where(reached, np.log(precisions), -np.inf)
        brevity = np.where(hypothesis < reference, np.exp(1 - reference / hypothesis), 1.0)
    values = brevity * np.exp(logarithms.mean(axis=1))
    return np.where(matches.any(axis=1) & (hypothesis > 0), values, 0.0)


def chrf_values(sums: Rows) -> Values:
    """chrF (beta 2, effective order) of each row: for every n-gram order, hypothesis and reference count, matches."""
    hypothesis, reference, matches = (sums[:, offset::3] for offset in range(3))
    counted = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(counted.sum(axis=1), 1)
    precision = np.divide(matches, hypothesis, out=np.zeros_like(matches), where=counted).sum(axis=1) / orders
    recall = np.divide(matches, reference, out=np.zeros_like(matches), where=counted).sum(axis=1) / orders
    total = 4 * precision + recall
    return 100 * np.divide(5 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def ter_values(sums: Rows) -> Values:
    """TER of each row: edits, reference length."""
    edits, length = sums[:, 0], sums[:, 1]
    return 100 * np.divide(edits, length, out=(edits > 0).astype(np.float64), where=length > 0)


def mean_values(sums: Rows) -> Values:
    """The mean of each row: sum of the sentences' scores, sentences."""
    return np.asarray(sums[:, 0] / sums[:, 1])


FORMULAS: Mapping[str, Callable[[Rows], Values]] = {
    "bleu": bleu_values,
    "chrf++": chrf_values,
    "ter": ter_values,
    "spbleu": bleu_values,
    "comet": mean_values,
}
"""From summed statistics to scores, by metric."""

HIGHER_IS_BETTER = {"bleu": True, "chrf++": True, "ter": False, "spbleu": True, "comet": True}


def save_statistics(path: Path, statistics: Statistics, scored_from: str) -> None:
    """Write the statistics of a test set; whole numbers as int32."""
    from safetensors.numpy import save_file

    arrays = {name: _narrow(rows) for name, rows in statistics.items()}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"scored_from": scored_from})


def load_statistics(path: Path, scored_from: str) -> Statistics | None:
    """The statistics in a file; None if there is none that is whole and was made from the same."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("scored_from") != scored_from:
                return None
            return {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (OSError, SafetensorError):
        return None


def _narrow(rows: Rows) -> npt.NDArray[Any]:
    whole = rows.astype(np.int32)
    return np.ascontiguousarray(whole if (whole == rows).all() else rows)
