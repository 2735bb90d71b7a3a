"""spBLEU: BLEU on the pieces of FLORES-200's SentencePiece model (NLLB Team, 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuronspec.core.errors import EvaluationError
from neuronspec.scoring.metrics.bleu import Bleu
from neuronspec.scoring.sacrebleu_rows import computed_by
from neuronspec.scoring.score import Computed, Lines
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.tokenizers import make_bleu


class SpBleu(Bleu):
    """Needs the path of the SentencePiece model (`scores.flores200`)."""

    label = "spBLEU"

    def wanted(self, settings: ScoreSettings) -> bool:
        """Where `scores.flores200` is given."""
        return settings.flores200 is not None

    def check(self, languages: Sequence[str], settings: ScoreSettings) -> None:
        """Check that there is a model.

        Raises:
            EvaluationError: there is none.
        """
        if settings.flores200 is None:
            raise EvaluationError(
                "spbleu needs the path of flores200_sacrebleu_tokenizer_spm.model (evaluation.scores.flores200, or "
                "--flores200)"
            )

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """BLEU on SentencePiece pieces."""
        return computed_by(make_bleu("flores200", settings), lines)
