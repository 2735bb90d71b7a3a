"""What all engines share: sources to token ids, batches by length, hypotheses back to lines in order."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.plan import plan_in_order
from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import EvaluationError, ModelError, RecipeError, told_as
from neuronspec.core.files import write_text
from neuronspec.models.frames import Framing, Tagged
from neuronspec.models.load import LONGEST_TRANSLATION
from neuronspec.models.text_format import TextFormat
from neuronspec.translation.alignment import Aligned, Span, aligned, unaligned
from neuronspec.translation.registry import ENGINES
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.sources import Part, check_splitter, join_parts, prepare_sources

OnBatch = Callable[[int], None]
"""Called after each batch with the number of sentences in it."""

EXTRA_TOKENS = 10
"""A translation may have so many tokens beyond its share of the source's: short sources need room."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished hypothesis of a search.

    Args:
        ids: its tokens, without what it begins with (the target's tag) and its end.
        score: the sum of log-probabilities divided by `length ** length_penalty`; the length counts tag and `</s>`.
    """

    ids: list[int]
    score: float


class Translations(list[str]):
    """Translations, one line per source in the order of the sources.

    Args:
        lines: the best translations; no line holds a line break.
        truncated: how many sources were longer than the model reads, and were cut before translating.
        split: how many were translated in parts, split at sentence ends.
        nbest: by source, the best translations with their scores, best first; `settings.n_best` at most. A source
            that was split has the mean of its parts' scores. Empty for an empty source.
        tokens: number of tokens that were written, tags and `</s>` aside.
        composed: for a direction without masks of its own, the directions whose encoder and decoder masks serve it.
    """

    def __init__(
        self,
        lines: Iterable[str],
        truncated: int = 0,
        *,
        split: int = 0,
        nbest: Sequence[list[tuple[str, float]]] = (),
        tokens: int = 0,
        composed: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(lines)
        self.truncated = truncated
        self.split = split
        self.nbest = list(nbest)
        self.tokens = tokens
        self.composed = composed


def write_n_best(path: Path, translations: Translations) -> None:
    """Write n-best lists, one line per source: `[{"text": ..., "score": ...}, ...]`, best first."""
    lists = ([{"text": text, "score": score} for text, score in best] for best in translations.nbest)
    write_text(path, "".join(json.dumps(best, ensure_ascii=False) + "\n" for best in lists))


class Engine(ABC):
    """Translates with beam search, sentences framed as the model's `TextFormat` says.

    A translation has at most `min(max_new_tokens, max_length_ratio * pieces of its source + 10)` tokens, tag and
    `</s>` among them: a model that runs away is cut soon. That, and the beam search, depend on the sentence alone, so
    neither the other sentences nor the batch size change a translation (but for rounding). An empty source gives an
    empty translation; other sources do where `</s>` is the likeliest first token. In float32 the engines find the same
    hypotheses.

    Args:
        tokenizer: of the model; see `TextFormat.of`.
        settings: beam, length penalty, n-best, padded source tokens in a batch, longest translation, and what happens
            to a source that is longer than the model reads.

    Raises:
        RecipeError: the beam is larger than the vocabulary.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings) -> None:
        check_beam(settings.beam, len(tokenizer))
        self.tokenizer = tokenizer
        self.settings = settings
        self.text_format = TextFormat.of(tokenizer)

    @classmethod
    def from_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        pivot: str | None = None,
    ) -> Engine:
        """An engine for a model in memory, dense or specialized. Engines that `ENGINES` names have it.

        Args:
            model: of any kind that the engine can run.
            tokenizer: of the model; see `TextFormat.of`.
            settings: of the search.
            pivot: the language that zero-shot directions are composed over, where several would do.

        Raises:
            MissingExtraError: a package that the engine needs isn't installed.
            ModelError: the engine can't run the model.
        """
        raise NotImplementedError(f"{cls.__name__} isn't made from a model in memory")

    @classmethod  # noqa: B027 - most engines need nothing
    def check_installed(cls) -> None:
        """Check, before the long work, that what the engine needs is installed.

        Raises:
            MissingExtraError: it isn't.
        """

    def translate(
        self, sources: Sequence[str], direction: DirectionLike, *, progress: OnBatch | None = None
    ) -> Translations:
        """Translate sentences.

        Args:
            sources: sentences.
            direction: source and target language.
            progress: called after each batch with the number of sentences in it.

        Raises:
            DirectionError: the tokenizer has no tag for a language, or the model can't serve the direction.
            EvaluationError: the model gives NaN, or a source is too long and the settings say `error`.
        """
        direction = Direction.parse(direction)
        self.text_format.check([direction])
        longest, too_long = self.longest_source(), self.settings.too_long
        prepared = prepare_sources(self.text_format, sources, longest, too_long, direction)
        lengths = np.array([len(part.ids) for part in prepared.parts], dtype=np.int64)
        batches = [
            [prepared.parts[index] for index in batch]
            for batch in plan_in_order(lengths, lengths, self.settings.batch_tokens)
        ]
        texts: dict[Part, list[tuple[str, float]]] = {}
        tokens = 0
        found = self.search([[part.ids for part in batch] for batch in batches], direction)
        for batch, hypotheses in zip(batches, found, strict=True):
            tokens += sum(len(best[0].ids) for best in hypotheses)
            texts.update(zip(batch, self._texts(hypotheses), strict=True))
            if progress is not None:
                progress(sum(part.first for part in batch))
        nbest = join_parts(len(sources), prepared.parts, texts, direction.target)
        lines = [best[0][0] if best else "" for best in nbest]
        return Translations(
            lines, prepared.truncated, split=prepared.split, nbest=nbest, tokens=tokens, composed=self.origin(direction)
        )

    def limits(self, sources: Sequence[list[int]], direction: Direction) -> list[int]:
        """The longest translation of each source in tokens, tag and end among them."""
        ratio, most = self.settings.max_length_ratio, self.settings.max_new_tokens
        fixed = self.text_format.frame.fixed(direction)
        return [min(int(ratio * (len(ids) - fixed)) + EXTRA_TOKENS, most) for ids in sources]

    @abstractmethod
    def search(self, batches: Sequence[list[list[int]]], direction: Direction) -> Iterator[list[list[Hypothesis]]]:
        """By batch and source, the best hypotheses (`settings.beam` at most), best first.

        Args:
            batches: the ids of each source; see `neuronspec.models.frames.Frame.sources`.
            direction: what to translate.
        """

    @abstractmethod
    def longest_source(self) -> int | None:
        """Ids that a source may have: the model has no more positions; None where positions are relative."""

    def align(self, sources: Sequence[str], lines: Sequence[str], direction: DirectionLike) -> list[Aligned]:
        """Which words of translations belong to which words of their sources.

        Args:
            sources: sentences, cleaned.
            lines: their translations, as `translate` gave them. Of a pair with a side that is longer than the model
                reads at once, no words of the translation are known.
            direction: of the translations.

        Raises:
            ModelError: the model's attention can't be read.
        """
        direction = Direction.parse(direction)
        if not isinstance(self.text_format.frame, Tagged):
            raise ModelError("the attention of a model without tags of languages can't be read")
        self.text_format.check([direction])
        (source_ids, source_spans), (target_ids, target_spans) = self._pieces(sources), self._pieces(lines)
        longest = self.longest_source() or sys.maxsize
        most = max(longest, self.settings.max_new_tokens)
        fits = [len(a) <= longest and len(b) <= most for a, b in zip(source_ids, target_ids, strict=True)]
        first, second = (list(compress(ids, fits)) for ids in (source_ids, target_ids))
        with told_as(ModelError, "the model's attention can't be computed"):
            found = iter(self.attention(first, second, direction))
        return [
            aligned(source, line, near, far, next(found)) if fit else unaligned(source)
            for source, line, near, far, fit in zip(sources, lines, source_spans, target_spans, fits, strict=True)
        ]

    def attention(self, sources: list[list[int]], targets: list[list[int]], direction: Direction) -> list[np.ndarray]:
        """How much each piece of a translation attends to each piece of its source, in the last layer.

        Args:
            sources: the piece ids of each source, without tag and `</s>`.
            targets: the piece ids of each translation, likewise.
            direction: of the translations.

        Returns:
            By pair, `[target pieces, source pieces]`.

        Raises:
            ModelError: the model's attention can't be read.
        """
        raise ModelError(f"the attention of a model can't be read by the engine {type(self).__name__}")

    def _pieces(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[Span]]]:
        """The piece ids of texts, and where each piece is."""
        if not texts:
            return [], []
        found = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        return found["input_ids"], found["offset_mapping"]

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        """The directions whose masks serve a direction without masks of its own; None where it has its own."""
        return None

    def _texts(self, hypotheses: list[list[Hypothesis]]) -> list[list[tuple[str, float]]]:
        """The `n_best` best hypotheses of each source as lines with scores."""
        kept = [best[: self.settings.n_best] for best in hypotheses]
        decoded = iter(self.text_format.frame.decode([h.ids for best in kept for h in best]))
        return [[(next(decoded), h.score) for h in best] for best in kept]


def longest_source_of(model: PreTrainedModel, framing: Framing) -> int | None:
    """Ids that a source may have; None where positions are relative. Of decoder-only models, with the translation.

    Args:
        model: of Hugging Face.
        framing: of its `TextFormat`.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    return None if positions is None else positions - framing.source


def longest_translation(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that a translation may have where nothing else is said; half of the positions that it shares at most.

    Args:
        model: of Hugging Face.
        tokenizer: of the model.
    """
    framing = TextFormat.of(tokenizer).frame.framing
    longest = longest_source_of(model, framing) if framing.joined else None
    return LONGEST_TRANSLATION if longest is None else min(LONGEST_TRANSLATION, max(1, longest // 2))


def room_for_source(longest: int | None, framing: Framing, settings: EvaluationSettings) -> int | None:
    """Ids that a source may have beside the longest translation that the settings allow.

    Args:
        longest: what `longest_source_of` gives.
        framing: of the model's `TextFormat`.
        settings: of the search.

    Raises:
        EvaluationError: the two are one sequence, and there is no room for a source.
    """
    if longest is None or not framing.joined:
        return longest
    if longest <= settings.max_new_tokens:
        raise EvaluationError(
            f"max_new_tokens is {settings.max_new_tokens}, and the model has {longest} positions for the prompt and "
            "the translation together: give a smaller max_new_tokens"
        )
    return longest - settings.max_new_tokens


def ends_of(model: PreTrainedModel, text_format: TextFormat) -> list[int]:
    """What ends a translation: what the format says, and what the model's own generation_config does.

    Args:
        model: of Hugging Face.
        text_format: of its tokenizer.
    """
    own = model.generation_config.eos_token_id
    own = own if isinstance(own, list) else [] if own is None else [own]
    return list(dict.fromkeys([*text_format.frame.ends, *own]))


def make_engine(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluationSettings) -> Engine:
    """The engine that `settings.engine` names.

    Args:
        model: dense or specialized.
        tokenizer: of the model; see `TextFormat.of`.
        settings: of the search.

    Raises:
        MissingExtraError: a package that the settings need isn't installed.
        ModelError: the engine can't run the model.
    """
    check_engine(settings)
    return ENGINES.get(settings.engine).from_model(model, tokenizer, settings)


def check_beam(beam: int, vocabulary: int) -> None:
    """Check that a translation can begin in as many ways as hypotheses are kept.

    Raises:
        RecipeError: the beam is larger than the vocabulary.
    """
    if beam > vocabulary:
        raise RecipeError(
            f"a beam of {beam} is larger than the vocabulary of {vocabulary} tokens, which is all that a translation "
            "can begin with; usual are 4 to 10"
        )


def check_engine(settings: EvaluationSettings) -> None:
    """Check, before the long work, that what the settings need is installed.

    Raises:
        MissingExtraError: it isn't.
    """
    ENGINES.get(settings.engine).check_installed()
    if settings.too_long == "split":
        check_splitter()
