"""Translating sentences with a model as it is: `translate` for callers that need no engine object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.direction import DirectionLike
from neuronspec.translation.engine import Translations
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.transformers_engine import TransformersEngine

__all__ = ["Translations", "translate"]


def translate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    direction: DirectionLike,
    settings: EvaluationSettings,
    *,
    progress: Callable[[int], None] | None = None,
) -> Translations:
    """Translate sentences with the `transformers` engine, whatever `settings.engine` says.

    Args:
        model: an encoder-decoder model; in eval mode for the time of the call.
        tokenizer: has a tag for both languages.
        sources: sentences.
        direction: source and target language.
        settings: as of `Engine`.
        progress: called after each batch with the number of sentences in it.

    Raises:
        DirectionError: the tokenizer has no tag for a language.
        EvaluationError: the model gives NaN, or a source is too long and the settings say `error`.
    """
    return TransformersEngine(model, tokenizer, settings).translate(sources, direction, progress=progress)
