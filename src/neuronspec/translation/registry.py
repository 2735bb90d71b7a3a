"""Translation engines: one interface, two ways to compute."""

from __future__ import annotations

from collections.abc import Callable

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.translation.engine import Engine, Hypothesis, TranslationEngine, Translations, write_n_best
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.sources import check_splitter

__all__ = [
    "ENGINES",
    "Engine",
    "Hypothesis",
    "TranslationEngine",
    "Translations",
    "check_engine",
    "make_engine",
    "write_n_best",
]

Maker = Callable[[PreTrainedModel, PreTrainedTokenizerBase, EvaluationSettings], Engine]


def _transformers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings) -> Engine:
    from neuronspec.translation.transformers_engine import TransformersEngine

    return TransformersEngine(model, tokenizer, settings)


def _ctranslate2(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings) -> Engine:
    from neuronspec.translation.ctranslate2_engine import CTranslate2Engine

    return CTranslate2Engine.from_model(model, tokenizer, settings)


ENGINES: dict[str, Maker] = {"transformers": _transformers, "ctranslate2": _ctranslate2}
"""By the name that `evaluation.engine` gives."""


def make_engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings) -> Engine:
    """The engine that `settings.engine` names, for a dense or a specialized model.

    Raises:
        MissingExtraError: a package that the settings need isn't installed.
        ModelError: the engine can't run the model.
    """
    check_engine(settings)
    return ENGINES[settings.engine](model, tokenizer, settings)


def check_engine(settings: EvaluationSettings) -> None:
    """Check that what the settings need is installed, before the long work.

    Raises:
        MissingExtraError: it isn't.
    """
    if settings.engine == "ctranslate2":
        from neuronspec.translation.conversion import import_ctranslate2

        import_ctranslate2()
    if settings.too_long == "split":
        check_splitter()
