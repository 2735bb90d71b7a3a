"""TER (Snover et al., 2006) by sacreBLEU, the slowest of the string metrics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuronspec.scoring.sacrebleu_rows import computed_by
from neuronspec.scoring.score import Computed, Lines, StringMetric
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Rows, Values


class Ter(StringMetric):
    """Translation edit rate; `scores.ter: false` leaves it out."""

    label = "TER"
    scale = "percent of the reference's words, lower is better"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Unless `scores.ter` is false."""
        return settings.ter

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The score of a test set, with its statistics."""
        from sacrebleu.metrics import TER

        return computed_by(TER(), lines)

    def values(self, sums: Rows) -> Values:
        """TER from edits and reference length."""
        edits, length = sums[:, 0], sums[:, 1]
        return 100 * np.divide(edits, length, out=(edits > 0).astype(np.float64), where=length > 0)
