"""How a model reads a sentence pair: the one way from text, and from ids, to the tensors of a batch, and back.

A `TextFormat` leaves the work to one of the strategies in `neuronspec.models.frames` and `whole_frames`. A new family
of models is a new strategy there, chosen in `describe`. What `describe` finds is kept with the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NotRequired, TypeAlias, cast

from transformers import PreTrainedTokenizerBase
from typing_extensions import TypedDict

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, RecipeError
from neuronspec.core.languages import canonical
from neuronspec.models.batch import Batch
from neuronspec.models.frames import Frame, Inputs, Sides, Tagged, Tags, any_of, bare
from neuronspec.models.prompts import CAUSAL_PROMPT, CHAT_PROMPT, PLAIN, SOURCE_TAG, T5_PROMPT, checked_prompt
from neuronspec.models.ragged import Ragged
from neuronspec.models.tokenizer import CLEANING_KEY, FORMAT_KEY, LANGUAGES_KEY, NO_REGION, tagged_languages
from neuronspec.models.whole_frames import Causal, Coded, Prompted, target_tags

LONGEST = 256
"""Tokens per side at most where raw text is encoded; longer sentences are cut."""

Cleaning: TypeAlias = Literal["neuronspec", "tokenizer"]


class Description(TypedDict):
    """How a model reads a sentence pair, as it is kept in tokenizer_config.json.

    Args:
        kind: the strategy.
        pad, end: ids of padding and of the end of a target.
        start: id that the decoder begins with, where it is always the same.
        prompt: see `neuronspec.models.prompts`.
        chat: whether the prompt goes into the tokenizer's chat template.
        reads, writes: where tags of languages are, if not as in our own models; see `Tagged`.
    """

    kind: Literal["tagged", "coded", "prompted", "causal"]
    pad: int
    end: int
    start: NotRequired[int]
    prompt: NotRequired[str]
    chat: NotRequired[bool]
    reads: NotRequired[Literal["source", "target"]]
    writes: NotRequired[bool]


def cleaning_of(tokenizer: Any) -> Cleaning:
    """Which cleaning a tokenizer was trained with, and so needs.

    Args:
        tokenizer: of Hugging Face.

    Returns:
        `tokenizer` where it normalises text by itself, as those of pretrained models do; `neuronspec` where it takes
        text as it is, as those that are trained here: `neuronspec.models.text_cleaning` cleans it.
    """
    if kept := getattr(tokenizer, "init_kwargs", {}).get(CLEANING_KEY):
        return cast(Cleaning, kept["cleaning"])
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "neuronspec" if getattr(backend, "normalizer", None) is None else "tokenizer"


def describe(tokenizer: Any, config: Any, prompt: str | None = None, chat: bool | None = None) -> Description:
    """How a model of Hugging Face reads a sentence pair, as its config and its tokenizer tell.

    Args:
        tokenizer: of the model; a description that it has kept counts if neither prompt nor chat is given.
        config: of the model.
        prompt: instead of the default: T5's `translate English to German: ...`; the bare text behind `>>deu<<` or
            `<2de>` where the tokenizer has such tags, alone where it hasn't; for decoder-only models what a user says
            in the chat template, else `English: ...` and `German:` on the next line.
        chat: whether decoder-only models get their prompt in the tokenizer's chat template. Without it they do if
            there is one and no prompt is given.

    Raises:
        RecipeError: the prompt has an unknown place, or none for the text; or the model takes no prompt, or no chat.
        ModelError: the tokenizer has no padding token and none can be put in its place, or no chat template.
    """
    kept = getattr(tokenizer, "init_kwargs", {}).get(FORMAT_KEY)
    if kept is not None and prompt is None and chat is None:
        return cast(Description, kept)
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else getattr(config, "eos_token_id", None)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
    if pad is None:
        raise ModelError("the tokenizer has neither a padding nor an end token, so sentences can't be batched")
    if end is None:
        raise ModelError("the tokenizer has no end token, so a translation would never end")
    if not config.is_encoder_decoder:
        template = getattr(tokenizer, "chat_template", None) is not None
        if chat and not template:
            raise ModelError("model.chat: the tokenizer has no chat template; leave chat out")
        if "{target_tag}" in (prompt or ""):
            raise RecipeError("prompt: a model without an encoder has no tags of languages; use {target}")
        chat = template and prompt is None if chat is None else chat
        asked = checked_prompt(prompt or (CHAT_PROMPT if chat else CAUSAL_PROMPT))
        return {"kind": "causal", "pad": pad, "end": _end_of_turn(tokenizer, end) if chat else int(end),
                "prompt": asked, "chat": chat}  # fmt: skip
    if chat:
        raise RecipeError("model.chat is for models without an encoder, and this one has an encoder; leave chat out")
    kind, start = str(getattr(config, "model_type", "")), getattr(config, "decoder_start_token_id", None)
    has_tags = hasattr(tokenizer, "src_lang") or (kind == "m2m_100" and bool(tagged_languages(tokenizer)))
    if prompt is not None and has_tags:
        raise RecipeError("prompt: this model is told languages by tags of its tokenizer; leave the prompt out")
    common = {"pad": pad, "end": int(end)} | ({} if start is None else {"start": start})
    if has_tags:
        as_ours = kind in ("m2m_100", "mbart") and start == end
        return {"kind": "tagged" if as_ours else "coded", **common}  # type: ignore[typeddict-item]
    if start is None:
        raise ModelError(f"config.json of the {kind} model has no decoder_start_token_id")
    tags = target_tags(tokenizer)
    if "{target_tag}" in (prompt or "") and not tags:
        raise RecipeError("prompt: the tokenizer has no tags of target languages; use {target} instead")
    default = SOURCE_TAG if tags else T5_PROMPT if "t5" in kind else PLAIN
    return {"kind": "prompted", **common, "prompt": checked_prompt(prompt or default)}  # type: ignore[typeddict-item]


def described(tokenizer: Any, config: Any) -> Any:
    """A tokenizer with its description: that of `describe` for a plain checkpoint whose languages have no tags.

    Args:
        tokenizer: of the model; changed in place.
        config: of the model.

    Returns:
        `tokenizer`.

    Raises:
        RecipeError, ModelError: as of `describe`.
    """
    is_tagged = hasattr(tokenizer, "src_lang") or getattr(config, "model_type", None) in ("m2m_100", "mbart")
    if not is_tagged:
        tokenizer.init_kwargs[FORMAT_KEY] = dict(describe(tokenizer, config))
    return tokenizer


def _end_of_turn(tokenizer: Any, end: int) -> int:
    """The token that ends an answer in a chat template."""
    answer = "answer"
    talk = [{"role": "user", "content": "question"}, {"role": "assistant", "content": answer}]
    rendered = tokenizer.apply_chat_template(talk, tokenize=False)
    ids = tokenizer(rendered.rpartition(answer)[2], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    return int(next((token for token in ids if token in special), end))


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How a model reads a sentence pair.

    Args:
        frame: the strategy for its kind of model.

    Examples:
        >>> format = TextFormat.of(tokenizer, directions)  # doctest: +SKIP
        >>> format.pieces(directions, sides)["input_ids"]  # doctest: +SKIP
    """

    frame: Frame

    @property
    def cleaning(self) -> Cleaning:
        """Which cleaning a text gets before it is tokenized; see `cleaning_of`."""
        return cleaning_of(self.frame.tokenizer)

    @property
    def punctuation(self) -> bool:
        """Whether the punctuation of its training text was normalised as Moses does."""
        return bool(getattr(self.frame.tokenizer, "init_kwargs", {}).get(CLEANING_KEY, {}).get("punctuation"))

    @property
    def is_causal(self) -> bool:
        """Whether the model is decoder-only: source and target are one sequence."""
        return self.frame.framing.joined

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, directions: Iterable[Direction] = ()) -> TextFormat:
        """The format that is kept with a tokenizer: `Tagged`, that of the models trained here, where there is none.

        Args:
            tokenizer: with a tag for each language (this package's, M2M100's or NLLB's), or with a description.
            directions: whose languages are used; they are checked at once.

        Raises:
            DirectionError: the tokenizer has no tag for a language.
        """
        kept = getattr(tokenizer, "init_kwargs", {}).get(FORMAT_KEY)
        if kept is None:
            kept = {"kind": "tagged", "pad": tokenizer.pad_token_id, "end": tokenizer.eos_token_id}
        made = cls(_frame(tokenizer, cast(Description, kept)))
        made.check(directions)
        return made

    @classmethod
    def of_model(cls, tokenizer: Any, model: Any, prompt: str | None = None) -> TextFormat:
        """The format of any Hugging Face model.

        Args:
            tokenizer: of the model; see `describe`.
            model: of Hugging Face, encoder-decoder or decoder-only.
            prompt: see `describe`. Models that have codes of languages need none.

        Raises:
            RecipeError, ModelError: as of `describe`.
        """
        return cls(_frame(tokenizer, describe(tokenizer, model.config, prompt)))

    def with_tag_loss(self) -> TextFormat:
        """The format in which the tag of the target takes loss in training.

        Raises:
            RecipeError: the model's decoder isn't given a tag.
        """
        if not isinstance(self.frame, Tagged) or not self.frame.writes:
            raise RecipeError(
                "training.tag_loss: the target of this model doesn't begin with the tag of its language; leave it out"
            )
        return TextFormat(replace(self.frame, tag_loss=True))

    def check(self, directions: Iterable[Direction]) -> None:
        """Check that the tokenizer has what it needs of some directions.

        Raises:
            DirectionError: it has no tag for a language.
        """
        for direction in directions:
            self.frame.read([], direction)
            self.frame.start(direction)
            self.frame.fixed(direction)

    def pieces(self, directions: Sequence[Direction], sides: Sides) -> Inputs:
        """The inputs for sentence pairs in ids.

        Args:
            directions: of each pair.
            sides: sources and targets as a token store has them; see `Frame.sources` and `Frame.targets`.

        Returns:
            Tensors `[batch, time]`, as in `Batch`.
        """
        return self.frame.pieces(directions, sides)

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """The inputs for sentence pairs in raw text, cut to `LONGEST` tokens per side.

        Args:
            direction: of all pairs.
            sources: one sentence each.
            targets: their translations.

        Returns:
            Tensors `[batch, time]`, as in `Batch`.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """
        read = self.frame.sources(sources, direction)
        kept = [
            ids if len(ids) <= LONGEST else self.frame.cut(text, direction, LONGEST)
            for ids, text in zip(read, sources, strict=True)
        ]
        written = [ids[:LONGEST] for ids in self.frame.targets(targets)]
        return self.pieces([direction] * len(kept), (Ragged.of(kept), Ragged.of(written)))

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

    def example(self, direction: Direction, source: str, target: str) -> tuple[list[str], list[str]]:
        """A framed pair, token by token: what is read, and what is to be written (from what the decoder begins with).

        Args:
            direction: of the pair.
            source: a sentence.
            target: its translation.
        """
        frame, show = self.frame, self.frame.tokenizer.convert_ids_to_tokens
        read = frame.read(frame.sources([source], direction)[0], direction)
        written = [*frame.start(direction), *frame.targets([target])[0], frame.ends[0]]
        return show(list(map(int, read))), show(list(map(int, written)))

    def shown(self, direction: Direction, text: str = "Hello, world!") -> str:
        """One framed example for people, in a line.

        Args:
            direction: of the example.
            text: is source and target.
        """
        read, written = self.example(direction, text, text)
        return f"{direction} reads: {' '.join(read)} | writes: {' '.join(written)}"


def _frame(tokenizer: Any, kept: Description) -> Frame:
    names = getattr(tokenizer, "init_kwargs", {}).get(LANGUAGES_KEY, {})
    pad, end, prompt = kept["pad"], kept["end"], kept.get("prompt", PLAIN)
    if kept["kind"] == "tagged":
        reads, writes = kept.get("reads", "source"), kept.get("writes", True)
        return Tagged(Tags(tokenizer), pad, end, tokenizer, _read_in_texts(tokenizer), reads=reads, writes=writes)
    if kept["kind"] == "coded":
        return Coded(tokenizer, pad, end, _language_codes(tokenizer), kept.get("start"))
    if kept["kind"] == "causal":
        return Causal(tokenizer, pad, end, names, prompt, kept.get("chat", False))
    return Prompted(tokenizer, pad, end, names, prompt, kept.get("start", pad))


def _read_in_texts(tokenizer: Any) -> re.Pattern[str] | None:
    """Special tokens that a tokenizer reads where a text spells them out: unigram vocabularies hold them as pieces."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if type(getattr(backend, "model", None)).__name__ != "Unigram":
        return None
    if tokenizer.eos_token_id not in bare(tokenizer, [str(tokenizer.eos_token)])[0]:
        return None
    return any_of(map(str, tokenizer.all_special_tokens))


def _language_codes(tokenizer: Any) -> dict[str, str]:
    """By our code, how the tokenizer writes a language."""
    named = getattr(tokenizer, "lang_code_to_token", None)
    tokens = list(named) if named else [*map(str, tokenizer.get_added_vocab())]
    codes: dict[str, str] = {}
    for token in tokens:
        try:
            code = canonical(token.strip("_<>[]").removesuffix(NO_REGION))
        except DirectionError:
            continue
        for spelling in (code, token.strip("_<>[]"), code.partition("_")[0]):
            codes.setdefault(spelling, token)
    return codes
