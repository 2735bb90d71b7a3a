"""The recipe's settings of scores (`evaluation.scores`), and the check of its zero-shot directions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Positive, RecipePath, Section
from neuronspec.scoring.registry import METRICS

BleuTokenizer = Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores200"]


class ScoreSettings(Section):
    """How translations are scored. Changing it scores again and translates nothing."""

    metrics: list[Annotated[str, OneOf(METRICS)]] | None = Field(
        None, description="further string metrics by name, such as those of plug-ins"
    )
    ter: bool = Field(True, description="also compute TER, the slowest of the string metrics")
    tokenizers: dict[str, BleuTokenizer] = Field(
        {},
        description="language code: BLEU tokenizer, for codes that aren't in the built-in table, or to choose another",
    )
    flores200: RecipePath | None = Field(
        None,
        description="SentencePiece model of FLORES-200: adds spbleu; BLEU's tokenizer for scripts without spaces",
    )
    detokenise: bool = Field(
        False,
        description="Moses tokenisation and detokenisation of hypotheses and references before scoring, as in the "
        "paper (extra moses); otherwise raw text is scored",
    )
    off_target: bool = Field(
        True, description="share of translations in another of the recipe's languages (extra langid)"
    )
    comet: RecipePath | None = Field(
        None, description="COMET checkpoint on this machine: MODEL/checkpoints/model.ckpt, or the folder MODEL"
    )
    comet_python: Path | None = Field(
        None, description="Python of an environment with unbabel-comet; without it, the one that runs neuronspec"
    )
    resamples: Positive = Field(1000, description="resamples of the sentences, for intervals")
    trials: Positive = Field(10_000, description="trials of the approximate randomization, for stars and p")
