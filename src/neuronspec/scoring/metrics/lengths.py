"""How long translations are: against the references, and whether there is one at all."""

from __future__ import annotations

from collections.abc import Mapping

from neuronspec.scoring.score import Computed, Lines, StringMetric
from neuronspec.scoring.settings import ScoreSettings


class LengthRatio(StringMetric):
    """Words of the hypotheses over words of the references, as BLEU's tokenizer cuts them."""

    label = "length ratio"
    digits = 2
    scale = "words of the hypotheses over words of the references"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Always."""
        return True

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The ratio, from the statistics of BLEU."""
        bleu = before["bleu"]
        assert bleu.rows is not None, "BLEU has statistics: hypothesis length, reference length, ..."
        words, reference_words = bleu.rows[:, :2].sum(axis=0)
        tokenizer = next(part for part in bleu.signature.split("|") if part.startswith("tok:"))
        return Computed(float(words / reference_words) if reference_words else 0.0, tokenizer)


class Empty(StringMetric):
    """The number of translations that are empty or white space."""

    label = "empty"
    scale = "empty translations"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Always."""
        return True

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The number, a whole one."""
        return Computed(sum(not line.strip() for line in lines.hypotheses), "whitespace only")
