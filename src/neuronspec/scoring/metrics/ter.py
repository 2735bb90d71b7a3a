"""TER (Snover et al., 2006) by sacreBLEU, the slowest of the string metrics.

Edits are counted in words, so what a word is decides. Chinese, Japanese and Korean are normalised and split as
sacreBLEU does for Asian languages: Chinese characters and kanji one by one, a run of kana together, punctuation apart.
Other scripts without spaces between words have no words that TER could count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuronspec.core.languages import WITHOUT_WORD_SPACES, script_of
from neuronspec.scoring.sacrebleu_rows import computed_by
from neuronspec.scoring.score import Computed, Lines, StringMetric
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Rows, Values

_ASIAN = frozenset({"Hans", "Hant", "Jpan", "Kore", "Hang"})


class Ter(StringMetric):
    """Translation edit rate; `scores.ter: false` leaves it out."""

    label = "TER"
    scale = "percent of the reference's words, lower is better"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Unless `scores.ter` is false."""
        return settings.ter

    def why_not(self, language: str) -> str | None:
        """The reason for languages whose words it can't find."""
        if script_of(language) in WITHOUT_WORD_SPACES - _ASIAN:
            return "it counts words, which have no spaces between them there"
        return None

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The score of a test set, with its statistics."""
        from sacrebleu.metrics import TER

        asian = script_of(lines.language) in _ASIAN and not lines.uniform
        return computed_by(TER(normalized=asian, asian_support=asian), lines)

    def values(self, sums: Rows) -> Values:
        """TER from edits and reference length."""
        edits, length = sums[:, 0], sums[:, 1]
        return 100 * np.divide(edits, length, out=(edits > 0).astype(np.float64), where=length > 0)
