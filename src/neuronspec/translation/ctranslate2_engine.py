"""The `ctranslate2` engine: each direction's compact model in CTranslate2, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError, ModelError, RecipeError, told_as
from neuronspec.core.files import scratch_folder
from neuronspec.models.frames import TAGGED
from neuronspec.models.text_format import TextFormat
from neuronspec.specialization.compact import deployable
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import composed_from, serve
from neuronspec.translation.conversion import (
    VOCABULARIES,
    check_convertible,
    convert,
    import_ctranslate2,
    vocabulary_of,
)
from neuronspec.translation.ct2_generator import Prompting
from neuronspec.translation.engine import Engine, Hypothesis, ends_of, longest_source_of, room_for_source
from neuronspec.translation.quantizations import QUANTIZATIONS
from neuronspec.translation.settings import EvaluationSettings


class Translators(Protocol):
    """Where the engine gets the `ctranslate2.Translator` of a direction from."""

    def translator(self, direction: Direction) -> Any:
        """The `ctranslate2.Translator` of a direction."""

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        """As `Engine.origin`."""


class CTranslate2Engine(Engine):
    """Beam search by CTranslate2: in float32 the hypotheses of `TransformersEngine`, several times as fast.

    Args:
        tokenizer, settings: as of `Engine`.
        translators: gives the model of a direction.
        vocabulary: the token of each id.
        longest: ids of a source that the model reads (of decoder-only models, with the translation); None where
            positions are relative.
        ends: tokens that end a translation; what the format says, without them.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        translators: Translators,
        vocabulary: Sequence[str],
        longest: int | None,
        ends: Sequence[int] | None = None,
    ) -> None:
        super().__init__(tokenizer, settings)
        self._translators = translators
        self._tokens = list(vocabulary)
        self._ids = {token: place for place, token in enumerate(vocabulary)}
        self._longest = longest
        frame = self.text_format.frame
        self._ends = list(ends or (frame.ends if self.text_format.is_causal else frame.ends[:1]))

    @classmethod
    def from_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        pivot: str | None = None,
    ) -> CTranslate2Engine:
        """An engine for a model in memory: dense, compact, or specialized, whose directions are cut when needed.

        Raises:
            MissingExtraError: ctranslate2 isn't installed.
            ModelError: CTranslate2 can't compute the model.
        """
        check_convertible(model)
        vocabulary = vocabulary_of(tokenizer, model.config.vocab_size)
        text_format = TextFormat.of(tokenizer)
        longest = longest_source_of(model, text_format.frame.framing)
        ends = ends_of(model, text_format) if text_format.is_causal else None
        return cls(tokenizer, settings, _Converted(model, tokenizer, settings, pivot), vocabulary, longest, ends)

    @classmethod
    def check_installed(cls) -> None:
        """Check that ctranslate2 is installed; see `Engine.check_installed`."""
        import_ctranslate2()

    def longest_source(self) -> int | None:
        """See `Engine.longest_source`."""
        return room_for_source(self._longest, self.text_format.frame.framing, self.settings)

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        """See `Engine.origin`."""
        return self._translators.origin(direction)

    def search(self, batches: Sequence[list[list[int]]], direction: Direction) -> Iterator[list[list[Hypothesis]]]:
        """See `Engine.search`."""
        translator = self._translators.translator(direction)
        # a few batches more than are computed at once, so that no thread waits and memory stays bounded
        ahead = 2 * translator.num_translators
        waiting: list[tuple[list[list[int]], Any]] = []
        for batch in batches:
            started = self._start(translator, batch, direction, max(self.limits(batch, direction)))
            waiting.append((batch, started))
            if len(waiting) > ahead:
                yield self._finish(translator, *waiting.pop(0), direction)
        for batch, results in waiting:
            yield self._finish(translator, batch, results, direction)

    def attention(self, sources: list[list[int]], targets: list[list[int]], direction: Direction) -> list[np.ndarray]:
        """See `Engine.attention`; it is the mean of all heads (of the first, in exports of version 0.1)."""
        prefix = self._written(self.text_format.frame.start(direction)[1:])
        results = self._translators.translator(direction).translate_batch(
            [self._read(ids, direction) for ids in sources],
            target_prefix=[[*prefix, *self._written(ids)] for ids in targets],
            beam_size=1,
            max_input_length=0,
            max_decoding_length=max((len(ids) for ids in targets), default=0) + TAGGED,
            return_attention=True,
        )
        return [
            np.array(result.attention[0], dtype=np.float64)[len(prefix) :][: len(target), 1 : 1 + len(source)]
            for result, source, target in zip(results, sources, targets, strict=True)
        ]

    def _written(self, ids: Sequence[int]) -> list[str]:
        return [self._tokens[place] for place in ids]

    def _read(self, ids: Sequence[int], direction: Direction) -> list[str]:
        return self._written(self.text_format.frame.read(ids, direction))

    def _start(self, translator: Any, sources: list[list[int]], direction: Direction, limit: int) -> list[Any]:
        settings = self.settings
        prefix = self._written(self.text_format.frame.start(direction)[1:])  # CTranslate2 knows the start token
        return translator.translate_batch(
            [self._read(ids, direction) for ids in sources],
            target_prefix=[prefix] * len(sources) if prefix else None,
            asynchronous=True,
            beam_size=settings.beam,
            num_hypotheses=settings.beam,
            length_penalty=settings.length_penalty,
            max_input_length=0,  # its default cuts sources without a word
            max_decoding_length=limit,
            min_decoding_length=0,  # its default forbids empty translations
            end_token=self._ends,
            return_end_token=True,
            return_scores=True,
        )

    def _finish(
        self, translator: Any, sources: list[list[int]], results: list[Any], direction: Direction
    ) -> list[list[Hypothesis]]:
        """Wait for a batch. CTranslate2 has one limit a batch: what could have reached its own is searched again."""
        with told_as(ModelError, "CTranslate2 can't compute the model", "copy or export it again if it is damaged"):
            found = [result.result() for result in results]
        limits = self.limits(sources, direction)
        highest = max(limits)
        again: dict[int, list[int]] = {}
        for place, (result, limit) in enumerate(zip(found, limits, strict=True)):
            if limit < highest and any(len(tokens) >= limit for tokens in result.hypotheses):
                again.setdefault(limit, []).append(place)
        for limit, places in again.items():
            repeated = self._start(translator, [sources[place] for place in places], direction, limit)
            for place, result in zip(places, repeated, strict=True):
                found[place] = result.result()
        begin = len(self.text_format.frame.start(direction)[1:])
        return [self._hypotheses(result, begin) for result in found]

    def _hypotheses(self, result: Any, begin: int) -> list[Hypothesis]:
        kept = []
        for tokens, score in zip(result.hypotheses, result.scores, strict=True):
            if score != score:
                raise EvaluationError(
                    "the model's scores aren't finite numbers, so it can't translate; did it diverge?"
                )
            ids = [self._ids[token] for token in tokens[begin:]]
            kept.append(Hypothesis(ids[:-1] if ids and ids[-1] in self._ends else ids, score))
        return kept


class _Converted:
    """Converts a model in memory: a dense one once, a specialized one per direction, the last of which is kept."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        pivot: str | None,
    ) -> None:
        self._model, self._tokenizer, self._settings, self._pivot = model, tokenizer, settings, pivot
        self._kept: tuple[str, Any] | None = None

    def translator(self, direction: Direction) -> Any:
        specialized = attached(self._model) is not None
        key = str(direction) if specialized else ""
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # its memory first
            model = self._model
            if specialized:
                serve(model, direction, self._pivot)
                model = deployable(model, direction)
            self._kept = (key, self._load(model))
        return self._kept[1]

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        return composed_from(self._model, direction)

    def _load(self, model: PreTrainedModel) -> Any:
        settings = self._settings
        quantization = settings.quantization or "float32"
        with scratch_folder() as folder:
            convert(model, self._tokenizer, folder, quantization, settings.max_new_tokens)
            device = str(self._model.device)
            return load_translator(folder, device, QUANTIZATIONS.get(quantization).computed(device))


def device_parts(device: str) -> tuple[str, int]:
    """The kind and the number of a device as CTranslate2 takes them: `("cuda", 1)` of `cuda:1`."""
    kind, _, index = device.partition(":")
    return kind, int(index or 0)


def check_computes(device: str, quantization: str) -> None:
    """Check that a GPU computes in a type: CTranslate2 knows which of them do so well.

    Raises:
        MissingExtraError: ctranslate2 isn't installed.
        RecipeError: it doesn't; lists what it does.
    """
    known = import_ctranslate2().get_supported_compute_types(*device_parts(device))
    if quantization not in known:
        raise RecipeError(f"{device} doesn't compute in {quantization}; valid there: {', '.join(sorted(known))}")


def load_translator(
    folder: str | Path, device: str = "cpu", quantization: str = "float32", threads: int | None = None, **options: Any
) -> Any:
    """A `ctranslate2.Translator` that computes one batch per thread, which gives the most sentences per second.

    Models without an encoder get what can be asked as one.

    Args:
        folder: a CTranslate2 model.
        device: `cpu`, `cuda` or, for the second GPU, `cuda:1`.
        quantization: what it computes in.
        threads: of the CPU; those that PyTorch may use where none are given.
        options: of `ctranslate2.Translator`.
    """
    before = torch.get_num_threads()
    workers = threads or before
    kind, index = device_parts(device)
    settings: dict[str, Any] = (
        {"inter_threads": workers, "intra_threads": 1} if kind == "cpu" else {"device_index": index}
    )
    settings |= {"device": kind, "compute_type": quantization, **options}
    package, joined = import_ctranslate2(), VOCABULARIES[1]
    has_encoder = joined not in options["files"] if "files" in options else not (Path(folder) / joined).is_file()
    try:
        if has_encoder:
            return package.Translator(str(folder), **settings)
        return Prompting(package.Generator(str(folder), **settings))
    finally:
        torch.set_num_threads(before)  # loading sets the calling thread's to intra_threads
