"""The recipe's settings of scores (`evaluation.scores`), and the check of its zero-shot directions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError
from neuronspec.corpus.settings import CorpusSettings, Positive, RecipePath, Section

BleuTokenizer = Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores200"]


class ScoreSettings(Section):
    """How translations are scored. Changing it scores again and translates nothing."""

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
    resamples: Positive = Field(1000, description="resamples of the bootstrap")
    trials: Positive = Field(10_000, description="trials of the approximate randomization")


def zero_shot_problems(corpus: CorpusSettings, zero_shot: list[str]) -> Iterator[str]:
    """What is wrong with the zero-shot directions of a recipe."""
    trained = set(corpus.all_directions)
    for text in zero_shot:
        try:
            direction = Direction.parse(text)
        except DirectionError as error:
            yield str(error)
            continue
        missing = {direction.source, direction.target} - set(corpus.all_languages)
        pivots = {d.target for d in trained if d.source == direction.source} & {
            d.source for d in trained if d.target == direction.target
        }
        if missing:
            yield f"{text}: {', '.join(sorted(missing))} is not among the languages {sorted(corpus.all_languages)}"
        elif direction in trained or zero_shot.count(text) > 1:
            yield f"{text} is {'trained' if direction in trained else 'named twice'}; leave it out"
        elif not pivots:
            middle = corpus.pivot
            yield f"{text} needs trained directions such as {direction.source}-{middle} and {middle}-{direction.target}"
