"""chrF++ (Popović, 2017) by sacreBLEU: character 6-grams and word 2-grams."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuronspec.scoring.sacrebleu_rows import computed_by
from neuronspec.scoring.score import Computed, Lines, StringMetric
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Rows, Values


class Chrf(StringMetric):
    """Corpus chrF++ (beta 2, effective order)."""

    label = "chrF++"
    scale = "0 to 100, higher is better"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Always."""
        return True

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The score of a test set, with its statistics."""
        from sacrebleu.metrics import CHRF

        return computed_by(CHRF(word_order=2), lines)

    def values(self, sums: Rows) -> Values:
        """chrF++ from, for every n-gram order, hypothesis count, reference count, matches."""
        hypothesis, reference, matches = (sums[:, offset::3] for offset in range(3))
        counted = (hypothesis > 0) & (reference > 0)
        orders = np.maximum(counted.sum(axis=1), 1)
        precision = np.divide(matches, hypothesis, out=np.zeros_like(matches), where=counted).sum(axis=1) / orders
        recall = np.divide(matches, reference, out=np.zeros_like(matches), where=counted).sum(axis=1) / orders
        total = 4 * precision + recall
        return 100 * np.divide(5 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
