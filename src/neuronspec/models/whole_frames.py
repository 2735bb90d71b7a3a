"""Frames of models whose sources are kept whole, as their own tokenizer frames them: prompted, coded and causal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, Mistakes, ModelError, nearest
from neuronspec.core.languages import canonical, fitting_languages, match_language
from neuronspec.models.frames import IGNORED, Frame, Framing, Inputs, Sides, any_of, apart, bare, padded, teacher_forced
from neuronspec.models.prompts import PLAIN, filled
from neuronspec.models.tokenizer import LANGUAGES_KEY

_TARGET_TAG = re.compile(r">>(\w+)<<|<2(\w+)>")
"""How Marian and MADLAD write the language that a source is to be translated into."""
_tags: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()
"""By tokenizer what `target_tags` found: a vocabulary may have 250,000 tokens, and each call of `sources` asks."""
_THOUGHT = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)
_LEAD = 8
"""Characters of a prompt's end that a target is tokenized behind."""


class Whole(Frame):
    """A frame whose sources are kept as the model reads them, from the first token to the last.

    Args:
        tokenizer: of the model.
        pad: id of padding.
        end: id of the token that ends a target.
        names: how prompts call languages, by code, where it isn't by their English name.
    """

    framing: ClassVar[Framing] = Framing(0, 1)

    def __init__(self, tokenizer: Any, pad: int, end: int, names: Mapping[str, str]) -> None:
        self.tokenizer, self.pad, self.end, self.names = tokenizer, pad, end, dict(names)
        added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._special = any_of([*map(str, tokenizer.all_special_tokens), *added, *target_tags(tokenizer).values()])
        self._fixed: dict[Direction, int] = {}

    @property
    def ends(self) -> list[int]:
        """See `Frame.ends`."""
        return [self.end]

    def read(self, ids: Sequence[int], direction: Direction) -> list[int]:
        """See `Frame.read`."""
        return list(ids)

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Frame.targets`."""
        if not texts:
            return []
        return self.tokenizer(text_target=self._plain(texts), add_special_tokens=False)["input_ids"]

    def fixed(self, direction: Direction) -> int:
        """See `Frame.fixed`."""
        if direction not in self._fixed:
            self._fixed[direction] = len(self.sources([""], direction)[0])
        return self._fixed[direction]

    def cut(self, text: str, direction: Direction, longest: int) -> list[int]:
        """See `Frame.cut`.

        Raises:
            ModelError: there is no room for any text.
        """
        pieces = bare(self.tokenizer, [text])[0]
        room = min(len(pieces), longest - self.fixed(direction))
        while room > 0:
            shorter = self.tokenizer.decode(pieces[:room], skip_special_tokens=False)
            ids = self.sources([shorter], direction)[0]
            if len(ids) <= longest:
                return ids
            room -= len(ids) - longest
        raise ModelError(
            f"the prompt of {direction} has {self.fixed(direction)} tokens, and the model reads {longest} at most: "
            "use a shorter prompt"
        )

    def _plain(self, texts: Sequence[str]) -> list[str]:
        return [apart(text, self._special) for text in texts]

    def _encoded(self, template: str, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """A prompt with each text in it, tokenized whole.

        Args:
            template: with `{text}`.
            texts: source sentences.
            special: whether the tokenizer adds its special tokens around the whole.
        """
        if not texts:
            return []
        before, _, after = template.partition(PLAIN)
        whole = [before + text + after for text in self._plain(texts)]
        return self.tokenizer(
            whole, add_special_tokens=special, split_special_tokens=False, return_attention_mask=False
        )["input_ids"]


class Prompted(Whole):
    """Encoder-decoder models that are told in the source what to do: T5's prompt, Marian's `>>deu<<`, MADLAD's `<2de>`.

    The decoder begins with one token, whatever the direction; the target is `[pieces, </s>]`.

    Args:
        tokenizer, pad, end, names: as of `Whole`.
        prompt: see `checked_prompt`.
        start: id of the token that the decoder begins with.
    """

    def __init__(self, tokenizer: Any, pad: int, end: int, names: Mapping[str, str], prompt: str, start: int) -> None:
        super().__init__(tokenizer, pad, end, names)
        self.prompt, self._start = prompt, start

    def sources(self, texts: Sequence[str], direction: Direction) -> list[list[int]]:
        """See `Frame.sources`."""
        tag = target_tag(self.tokenizer, direction.target) if "{target_tag}" in self.prompt else ""
        return self._encoded(filled(self.prompt, direction, self.names, tag), texts)

    def start(self, direction: Direction) -> list[int]:
        """See `Frame.start`."""
        return [self._start]

    def pieces(self, directions: Sequence[Direction], sides: Sides) -> Inputs:
        """See `Frame.pieces`."""
        sources, targets = sides
        starts = [self.start(direction)[0] for direction in directions]
        return teacher_forced(sources, targets.between(_nothing(len(targets)), self.end), starts, self.pad)


class Coded(Prompted):
    """Encoder-decoder models whose tokenizer puts codes of languages elsewhere, such as mBART-25 at the end.

    The decoder begins with the target's code where the model has no start token of its own.

    Args:
        tokenizer, pad, end: as of `Whole`.
        codes: how the tokenizer writes a language, by code.
        start: id of the token that the decoder begins with, if it is always the same.
    """

    def __init__(self, tokenizer: Any, pad: int, end: int, codes: Mapping[str, str], start: int | None) -> None:
        super().__init__(tokenizer, pad, end, {}, PLAIN, start if start is not None else -1)
        self._codes = codes

    def sources(self, texts: Sequence[str], direction: Direction) -> list[list[int]]:
        """See `Frame.sources`."""
        self.tokenizer.src_lang = self._code(direction.source)
        return self._encoded(PLAIN, texts)

    def start(self, direction: Direction) -> list[int]:
        """See `Frame.start`."""
        own = self.tokenizer.convert_tokens_to_ids(self._code(direction.target))
        return [self._start if self._start >= 0 else int(own)]

    def _code(self, language: str) -> str:
        _, fitting = fitting_languages(language, self._codes)
        tokens = {self._codes[spelling] for spelling in fitting}
        if len(tokens) != 1:
            raise DirectionError(
                f"the tokenizer has no code for language {language!r}; {nearest(language, self._codes)}"
            )
        return tokens.pop()


class Causal(Whole):
    """Decoder-only models: a prompt with the source, then the target, which alone takes loss, and the end token.

    A space that a prompt ends with belongs to the target, as tokenizers of such models cut words. Translations end at
    the end of a line, too. Padding is on the right in training, on the left in translation.

    Args:
        tokenizer, pad, end, names: as of `Whole`.
        prompt: see `checked_prompt`.
        chat: whether the prompt is what a user says in the tokenizer's chat template.
    """

    kind: ClassVar[Literal["encoder-decoder", "causal"]] = "causal"
    framing: ClassVar[Framing] = Framing(0, 1, joined=True)

    def __init__(self, tokenizer: Any, pad: int, end: int, names: Mapping[str, str], prompt: str, chat: bool) -> None:
        super().__init__(tokenizer, pad, end, names)
        self._chat = chat
        self._prompt = self._in_chat(prompt) if chat else prompt.rstrip(" ")
        self._lead = "" if chat or prompt == prompt.rstrip(" ") else " "
        literal = re.split(r"{\w+}", self._prompt)[-1]
        self._behind = (self._special.split(literal)[-1] or ":")[-_LEAD:]
        self._line_ends = [] if chat else _line_ends(tokenizer)

    @property
    def ends(self) -> list[int]:
        """See `Frame.ends`; the first one is that of training."""
        return [self.end, *self._line_ends]

    def sources(self, texts: Sequence[str], direction: Direction) -> list[list[int]]:
        """See `Frame.sources`."""
        return self._encoded(filled(self._prompt, direction, self.names), texts, special=not self._chat)

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Frame.targets`; tokenized as they are behind the prompt."""
        if not texts:
            return []
        texts = self._plain(texts)
        behind, *rows = bare(self.tokenizer, [self._behind, *(self._behind + self._lead + text for text in texts)])
        return [
            row[len(behind) :] if row[: len(behind)] == behind else bare(self.tokenizer, [text])[0]
            for row, text in zip(rows, texts, strict=True)
        ]

    def start(self, direction: Direction) -> list[int]:
        """See `Frame.start`."""
        return []

    def pieces(self, directions: Sequence[Direction], sides: Sides) -> Inputs:
        """See `Frame.pieces`."""
        sources, targets = sides
        ids, mask = padded(sources.followed_by(targets).between(_nothing(len(targets)), self.end), self.pad)
        prompts = torch.from_numpy(sources.lengths)
        takes_loss = (torch.arange(ids.shape[1]) >= prompts[:, None]) & (mask == 1)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~takes_loss, IGNORED)}

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """See `Frame.decode`; only the translation of what a talkative model writes: see `tidy`."""
        texts = self.tokenizer.batch_decode([list(row) for row in rows], skip_special_tokens=True) if rows else []
        return [tidy(text) for text in texts]

    def _in_chat(self, prompt: str) -> str:
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )


def check_room(frame: Frame, positions: int | None, directions: Sequence[Direction]) -> None:
    """Check that a model can read a sentence beside its prompt.

    Args:
        frame: of the model.
        positions: of the model; None where they are relative.
        directions: that are used.

    Raises:
        Mistakes: the prompt of a direction takes them all.
    """
    for direction in directions:
        length = frame.fixed(direction)
        if positions is not None and length >= positions:
            raise Mistakes(
                f"model.prompt: that of {direction} has {length} tokens without a sentence, and the model has "
                f"{positions} positions; give a shorter one"
            )


def tidy(text: str) -> str:
    """The translation in what a language model wrote: the first line that isn't empty.

    What it thought (`<think>...</think>`) is left out, and so is an announcement: a line that ends with a colon where
    another one follows.
    """
    lines = [line.strip() for line in _THOUGHT.sub("", text).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 and lines[0].endswith(":") else lines[0]) if lines else ""


def _line_ends(tokenizer: Any) -> list[int]:
    """The tokens that are nothing but line breaks."""
    found = set()
    for text in ("\n", "\n\n", "\r\n"):
        ids = tokenizer(f":{text}", add_special_tokens=False)["input_ids"]
        if ids and tokenizer.decode(ids[-1:]) == text:
            found.add(int(ids[-1]))
    return sorted(found)


def target_tags(tokenizer: Any) -> dict[str, str]:
    """The tokens that tell Marian (`>>deu<<`) or MADLAD (`<2de>`) which language to write, by code.

    Args:
        tokenizer: of Hugging Face.
    """
    if tokenizer not in _tags:
        known: dict[str, str] = {}
        for match in sorted(
            filter(None, map(_TARGET_TAG.fullmatch, tokenizer.get_vocab())), key=lambda found: found[0]
        ):
            spelling = match[1] or match[2]
            try:
                known.setdefault(canonical(spelling), match[0])
            except DirectionError:
                known.setdefault(spelling, match[0])
        _tags[tokenizer] = known
    return _tags[tokenizer]


def target_tag(tokenizer: Any, code: str) -> str:
    """The token that tells Marian or MADLAD to write a language.

    Args:
        tokenizer: of Hugging Face.
        code: of the language.

    Raises:
        DirectionError: the tokenizer has none for the language; lists those that it has.
    """
    given = getattr(tokenizer, "init_kwargs", {}).get(LANGUAGES_KEY, {})
    if code in given:
        return str(given[code])
    known = target_tags(tokenizer)
    found = match_language(code, known)
    if found is None:
        raise DirectionError(f"the tokenizer has no tag for language {code!r}; {nearest(code, known) or 'it has none'}")
    return known[found]


def _nothing(rows: int) -> np.ndarray:
    """Nothing in front of each row."""
    return np.empty((rows, 0), dtype=np.int64)
