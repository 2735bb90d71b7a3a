"""BLEU, chrF++ and TER of translations, with the signatures that make them comparable (sacreBLEU; Post, 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuronspec.core.errors import EvaluationError
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics
from neuronspec.scoring.tokenizers import bleu_tokenizer, check_tokenizers, make_bleu

__all__ = [
    "SCALES",
    "Score",
    "bleu_tokenizer",
    "check_lines",
    "check_tokenizers",
    "chrf",
    "score",
    "score_with_statistics",
]

SCALES = {
    "bleu": "0 to 100, higher is better",
    "chrf++": "0 to 100, higher is better",
    "spbleu": "0 to 100, higher is better",
    "ter": "percent of the reference's words, lower is better",
    "comet": "about 0 to 1, higher is better",
    "loss": "nats a target token, lower is better",
    "off_target": "percent of the translations, lower is better",
    "off_target_reference": "percent of the references: the identifier's own mistakes",
    "length_ratio": "words of the hypotheses over words of the references",
    "empty": "empty translations",
}
"""What the numbers of each score mean."""


@dataclass(frozen=True, slots=True)
class Score:
    """One score over one test set.

    Args:
        value: on the scale.
        signature: what exactly was computed, and by which version.
        n: sentences.
        scale: what the number means.
    """

    value: float
    signature: str
    n: int
    scale: str


def score(
    hypotheses: Sequence[str], references: Sequence[str], language: str, settings: ScoreSettings | None = None
) -> dict[str, Score]:
    """The string metrics of one test set into `language`: `bleu`, `chrf++`, `ter`, `spbleu` as the settings say,
    and `length_ratio` and `empty`.

    Raises:
        EvaluationError: as `check_lines` and `check_tokenizers`.
    """
    return score_with_statistics(hypotheses, references, language, settings or ScoreSettings())[0]


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus chrF++ alone.

    Raises:
        EvaluationError: as `check_lines`.
    """
    from sacrebleu.metrics import CHRF

    check_lines(hypotheses, references)
    metric = CHRF(word_order=2)
    value = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
    return Score(value, metric.get_signature().format(), len(references), SCALES["chrf++"])


def score_with_statistics(
    hypotheses: Sequence[str], references: Sequence[str], language: str, settings: ScoreSettings
) -> tuple[dict[str, Score], Statistics]:
    """As `score`; beside it each metric's statistics by sentence, `[sentences, columns]`.

    Raises:
        EvaluationError: as `check_lines` and `check_tokenizers`.
    """
    check_lines(hypotheses, references)
    check_tokenizers([language], settings)
    scores, statistics = {}, {}
    for name, metric in _metrics(language, settings).items():
        rows = metric._extract_corpus_statistics(list(hypotheses), [list(references)])
        value = float(metric._aggregate_and_compute(rows).score)
        scores[name] = Score(value, metric.get_signature().format(), len(references), SCALES[name])
        statistics[name] = np.array(rows, dtype=np.float64)
    return scores | _lengths(hypotheses, statistics["bleu"], scores["bleu"].signature), statistics


def _metrics(language: str, settings: ScoreSettings) -> dict[str, Any]:
    """sacreBLEU's metrics by name, with its defaults: BLEU for the language, chrF++ (word 2-grams), TER, spBLEU."""
    from sacrebleu.metrics import CHRF, TER

    metrics = {"bleu": make_bleu(bleu_tokenizer(language, settings), settings), "chrf++": CHRF(word_order=2)}
    if settings.ter:
        metrics["ter"] = TER()
    if settings.flores200 is not None:
        metrics["spbleu"] = make_bleu("flores200", settings)
    return metrics


def _lengths(hypotheses: Sequence[str], bleu_rows: np.ndarray, signature: str) -> dict[str, Score]:
    """The length ratio, in words of BLEU's tokenizer, and the number of empty translations."""
    words, reference_words = bleu_rows[:, :2].sum(axis=0)
    tokenizer = next(part for part in signature.split("|") if part.startswith("tok:"))
    empty = sum(not line.strip() for line in hypotheses)
    n = len(hypotheses)
    ratio = float(words / reference_words) if reference_words else 0.0
    return {
        "length_ratio": Score(ratio, tokenizer, n, SCALES["length_ratio"]),
        "empty": Score(float(empty), "whitespace only", n, SCALES["empty"]),
    }


def check_lines(hypotheses: Sequence[str], references: Sequence[str], names: tuple[str, str] = ("", "")) -> None:
    """Check that there is one reference a hypothesis, and that no reference is empty.

    Args:
        hypotheses: translations, one a sentence.
        references: what they are compared with.
        names: of the files, for the message.

    Raises:
        EvaluationError: their numbers differ, or a reference is missing or empty.
    """
    hypothesis, reference = (f" in {name}" if name else "" for name in names)
    if not any(line.strip() for line in references):
        what = f"all {len(references)} references are empty" if references else "there is no reference"
        raise EvaluationError(f"nothing to score against: {what}{reference}")
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{len(hypotheses)} hypotheses{hypothesis} and {len(references)} references{reference}: each line needs "
            "its counterpart; an empty translation is an empty line"
        )
    empty = [number for number, line in enumerate(references, start=1) if not line.strip()]
    if empty:
        raise EvaluationError(
            f"line {empty[0]}{f' and {len(empty) - 1} more' if empty[1:] else ''} of the references{reference} is "
            "empty; leave such sentences out of source, hypotheses and references"
        )
