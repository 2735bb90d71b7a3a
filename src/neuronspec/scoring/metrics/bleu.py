"""BLEU (Papineni et al., 2002) by sacreBLEU, with the tokenizer of the language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neuronspec.scoring.sacrebleu_rows import computed_by
from neuronspec.scoring.score import Computed, Lines, StringMetric
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Rows, Values
from neuronspec.scoring.tokenizers import bleu_tokenizer, check_tokenizers, make_bleu


class Bleu(StringMetric):
    """Corpus BLEU with exponential smoothing."""

    label = "BLEU"
    scale = "0 to 100, higher is better"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Always."""
        return True

    def check(self, languages: Sequence[str], settings: ScoreSettings) -> None:
        """Check the tokenizers of the languages; see `check_tokenizers`."""
        check_tokenizers(languages, settings)

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """BLEU with the tokenizer of the language."""
        return computed_by(make_bleu(bleu_tokenizer(lines.language, settings), settings), lines)

    def values(self, sums: Rows) -> Values:
        """BLEU from hypothesis length, reference length, 4 matches, 4 totals."""
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
