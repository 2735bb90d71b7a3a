"""How a model reads a sentence pair: the one way from text, and from piece ids, to the tensors of a batch.

A `TextFormat` is built for a tokenizer, or for any Hugging Face model with its tokenizer, and leaves the work to one
of the strategies in `neuronspec.models.frames`. A new family of models is a new strategy there, chosen in `of_model`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from transformers import PreTrainedTokenizerBase

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.errors import DirectionError, RecipeError, nearest
from neuronspec.core.languages import canonical
from neuronspec.models.batch import Batch
from neuronspec.models.frames import Causal, Coded, Frame, Inputs, Pair, Prompted, Tagged
from neuronspec.models.tokenizer import tag_id

CAUSAL_PROMPT = "{source}: {text}\n{target}: "
T5_PROMPT = "translate {source} to {target}: {text}"
PLACES = ("text", "source", "target", "source_code", "target_code")


Cleaning: TypeAlias = Literal["neuronspec", "tokenizer"]


def cleaning_of(tokenizer: Any) -> Cleaning:
    """Which cleaning a tokenizer was trained with, and so needs.

    Args:
        tokenizer: of Hugging Face.

    Returns:
        `tokenizer` where it normalises text by itself, as those of pretrained models do; `neuronspec` where it takes
        text as it is, as those that are trained here: `neuronspec.models.text_cleaning` cleans it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "neuronspec" if getattr(backend, "normalizer", None) is None else "tokenizer"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How a model reads a sentence pair.

    Args:
        frame: the strategy for its kind of model.

    Example:
        >>> format = TextFormat.of(tokenizer, directions)  # doctest: +SKIP
        >>> format.pieces(directions, pairs)["input_ids"]  # doctest: +SKIP
    """

    frame: Frame

    @property
    def cleaning(self) -> Cleaning:
        """Which cleaning a text gets before it is tokenized; see `cleaning_of`."""
        return cleaning_of(self.frame.tokenizer)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, directions: Iterable[Direction]) -> TextFormat:
        """The format of the models that are trained here: `Tagged`.

        Args:
            tokenizer: with a tag for each language: this package's, M2M100's or NLLB's.
            directions: whose languages are used.

        Raises:
            DirectionError: the tokenizer has no tag for a language.
        """
        tags = {code: tag_id(tokenizer, code) for code in languages_of(directions)}
        return cls(Tagged(tags, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer))

    @classmethod
    def of_model(cls, tokenizer: Any, model: Any, prompt: str | None = None) -> TextFormat:
        """The format of any Hugging Face model.

        A prompt has a place `{text}` for the source sentence, and may have `{source}`, `{target}` (names of the
        languages), `{source_code}` and `{target_code}`.

        Args:
            tokenizer: of the model.
            model: of Hugging Face, encoder-decoder or decoder-only.
            prompt: instead of the default: the bare text, T5's `translate German to English: ...`, or for
                decoder-only models `German: ...` and `English: ` on the next line. Models that have codes of languages
                need none.

        Raises:
            RecipeError: the prompt has an unknown place, or none for the text.
            ModelError: the tokenizer has no padding token and none can be put in its place.
        """
        if not model.config.is_encoder_decoder:
            return cls(Causal(tokenizer, model, _checked(prompt or CAUSAL_PROMPT)))
        kind = str(getattr(model.config, "model_type", ""))
        prompt = _checked(prompt or (T5_PROMPT if "t5" in kind else "{text}"))
        codes = _language_codes(tokenizer)
        return cls(Coded(tokenizer, model, codes) if codes else Prompted(tokenizer, model, prompt))

    def pieces(self, directions: Sequence[Direction], pairs: Sequence[Pair]) -> Inputs:
        """The inputs for sentence pairs in piece ids.

        Args:
            directions: of each pair.
            pairs: piece ids of source and target, without tags or `</s>`.

        Returns:
            Tensors `[batch, time]`, as in `Batch`.
        """
        return self.frame.pieces(directions, pairs)

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """The inputs for sentence pairs in raw text.

        Args:
            direction: of all pairs.
            sources: one sentence each.
            targets: their translations.

        Returns:
            Tensors `[batch, time]`, as in `Batch`.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """
        return self.frame.texts(direction, sources, targets)

    def batches(self, direction: Direction, pairs: Sequence[tuple[str, str]], size: int = 32) -> Iterator[Batch]:
        """Pairs of raw text in batches, from the shortest to the longest.

        Args:
            direction: of all pairs.
            pairs: source and target.
            size: pairs per batch.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """
        ordered = sorted(pairs, key=lambda pair: max(map(len, pair)))
        for start in range(0, len(ordered), size):
            some = ordered[start : start + size]
            sources, targets = [source for source, _ in some], [target for _, target in some]
            yield Batch(direction, self.texts(direction, sources, targets))


def _language_codes(tokenizer: Any) -> dict[str, str]:
    """By our code, how the tokenizer writes a language; empty if it has no languages."""
    if not hasattr(tokenizer, "src_lang"):
        return {}
    named = getattr(tokenizer, "lang_code_to_token", None)
    tokens = list(named) if named else [*map(str, tokenizer.get_added_vocab())]
    codes: dict[str, str] = {}
    for token in tokens:
        try:
            code = canonical(token.strip("_<>[]"))
        except DirectionError:
            continue
        for spelling in (code, token.strip("_<>[]"), code.partition("_")[0]):
            codes.setdefault(spelling, token)
    return codes


def _checked(prompt: str) -> str:
    unknown = [place for place in re.findall(r"{(\w*)}", prompt) if place not in PLACES]
    if unknown:
        raise RecipeError(f"prompt: unknown place {{{unknown[0]}}}; {nearest(unknown[0], PLACES)}")
    if "{text}" not in prompt:
        raise RecipeError("prompt: it has no {text}, where the source sentence goes")
    return prompt
