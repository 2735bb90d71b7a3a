"""What a kind of model has around, before and between the two sentences of a pair: the interface, and `Tagged`.

The strategies of `TextFormat` for other kinds of models are in `neuronspec.models.whole_frames`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from neuronspec.core.direction import Direction
from neuronspec.models.ragged import Ragged
from neuronspec.models.tokenizer import tag_id

IGNORED = -100
"""The label of positions that take no loss."""

TAGGED = 2
"""Tokens that a side of a pair has beside its pieces in the `Tagged` format: its tag and `</s>`."""

Sides: TypeAlias = tuple[Ragged, Ragged]
"""The ids of sources and of their targets as a token store has them; see `Frame.sources` and `Frame.targets`."""

Inputs: TypeAlias = dict[str, torch.Tensor]
"""Keyword arguments of a model; see `neuronspec.models.batch.Batch`."""


class Framing(NamedTuple):
    """How long a pair is as the model reads it.

    Args:
        source: tokens that a source has beside its ids.
        target: tokens that a target has beside its ids.
        joined: whether the two are one sequence, as in decoder-only models.
    """

    source: int = TAGGED
    target: int = TAGGED
    joined: bool = False


OURS = Framing()
"""That of `Tagged`."""


class Frame(ABC):
    """What a kind of model has around, before and between the two sentences of a pair."""

    kind: ClassVar[Literal["encoder-decoder", "causal"]] = "encoder-decoder"
    shared: ClassVar[bool] = False
    """Whether a sentence has the same ids as a source and as a target, in all directions."""
    framing: ClassVar[Framing]
    tokenizer: Any
    pad: int

    @property
    def labelled(self) -> int:
        """Tokens of a target that take loss beside its pieces: the end."""
        return 1

    @property
    @abstractmethod
    def ends(self) -> list[int]:
        """The tokens that end a translation."""

    @abstractmethod
    def sources(self, texts: Sequence[str], direction: Direction) -> list[list[int]]:
        """The ids of source sentences, as a token store has them.

        They are bare pieces if they are `shared`, else all that the model reads.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """

    @abstractmethod
    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of target sentences, without anything around them."""

    @abstractmethod
    def read(self, ids: Sequence[int], direction: Direction) -> list[int]:
        """All that the model reads of a source, given its ids."""

    @abstractmethod
    def start(self, direction: Direction) -> list[int]:
        """What the decoder is given before it writes; nothing in decoder-only models."""

    @abstractmethod
    def pieces(self, directions: Sequence[Direction], sides: Sides) -> Inputs:
        """The inputs for pairs of ids, row `i` of `directions[i]`."""

    @abstractmethod
    def cut(self, text: str, direction: Direction, longest: int) -> list[int]:
        """The ids of a source, of which as much of the text is left out at its end as `longest` ids ask for."""

    def fixed(self, direction: Direction) -> int:
        """How many of a source's ids aren't text."""
        return 0

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Translations as text, one line each, given what the model wrote without its end."""
        texts = self.tokenizer.batch_decode([list(row) for row in rows], skip_special_tokens=True) if rows else []
        return [" ".join(text.splitlines()).strip() for text in texts]


class Tags(dict[str, int]):
    """The ids of tags by language, looked up in a tokenizer when they are asked for first."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, code: str) -> int:
        self[code] = tag_id(self._tokenizer, code)
        return self[code]


@dataclass(frozen=True, slots=True)
class Tagged(Frame):
    """The format of M2M-100 (Fan et al., 2021), that of all models trained here, of NLLB and of mBART-50.

    The source is `[__src__, pieces, </s>]`; the decoder reads `[</s>, __tgt__, pieces]` and is to give
    `[__tgt__, pieces, </s>]`. The target tag is forced in translation, so its label takes no loss. Padding is on the
    right. Models of fairseq may have it in another way: the source begins with the target's tag, and the decoder may be
    given none.

    Args:
        tags: language code to the id of its tag.
        pad: id of padding.
        eos: id of `</s>`, which is also the decoder's start token.
        tokenizer: cuts raw text into pieces.
        special: special tokens that the tokenizer would read where a text spells them out.
        tag_loss: whether the target tag takes loss all the same, as in fairseq's multilingual training.
        reads: whose tag the source begins with (fairseq's `--encoder-langtok`).
        writes: whether the decoder is given the target's tag (fairseq's `--decoder-langtok`).
    """

    shared: ClassVar[bool] = True
    framing: ClassVar[Framing] = OURS
    tags: Mapping[str, int]
    pad: int
    eos: int
    tokenizer: Any = field(default=None, compare=False, repr=False)
    special: re.Pattern[str] | None = None
    tag_loss: bool = False
    reads: Literal["source", "target"] = "source"
    writes: bool = True

    @property
    def labelled(self) -> int:
        """See `Frame.labelled`."""
        return 2 if self.tag_loss else 1

    @property
    def ends(self) -> list[int]:
        """See `Frame.ends`."""
        return [self.eos]

    def sources(self, texts: Sequence[str], direction: Direction) -> list[list[int]]:
        """See `Frame.sources`."""
        return self.targets(texts)

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Frame.targets`."""
        return bare(self.tokenizer, texts if self.special is None else [apart(text, self.special) for text in texts])

    def read(self, ids: Sequence[int], direction: Direction) -> list[int]:
        """See `Frame.read`."""
        return [self._tag_read(direction), *ids, self.eos]

    def start(self, direction: Direction) -> list[int]:
        """See `Frame.start`."""
        return [self.eos, *self._tags_written(direction)]

    def cut(self, text: str, direction: Direction, longest: int) -> list[int]:
        """See `Frame.cut`."""
        return self.sources([text], direction)[0][:longest]

    def pieces(self, directions: Sequence[Direction], sides: Sides) -> Inputs:
        """See `Frame.pieces`."""
        of_targets = np.array([self.tags[one.target] for one in directions], dtype=np.int64)[:, None]
        read, written = of_targets, of_targets[:, : int(self.writes)]
        if self.reads == "source":
            read = np.array([self.tags[one.source] for one in directions], dtype=np.int64)[:, None]
        sources, targets = sides[0].between(read, self.eos), sides[1].between(written, self.eos)
        inputs = teacher_forced(sources, targets, [self.eos] * len(targets), self.pad)
        if self.writes and not self.tag_loss:
            inputs["labels"][:, 0] = IGNORED
        return inputs

    def _tag_read(self, direction: Direction) -> int:
        return self.tags[direction.source if self.reads == "source" else direction.target]

    def _tags_written(self, direction: Direction) -> list[int]:
        return [self.tags[direction.target]] if self.writes else []


def teacher_forced(sources: Ragged, targets: Ragged, starts: Sequence[int], pad: int) -> Inputs:
    """The inputs of an encoder-decoder model, padded on the right.

    Args:
        sources: what the encoder reads, row by row.
        targets: what the decoder is to give.
        starts: what it reads first; after it, all of its target but the last token.
        pad: the id of padding.
    """
    input_ids, attention_mask = padded(sources, pad)
    labels, decoder_mask = padded(targets, pad)
    decoder_input_ids = torch.full_like(labels, pad)
    decoder_input_ids[:, 0] = torch.tensor(starts)
    decoder_input_ids[:, 1:] = labels[:, :-1]
    decoder_input_ids.masked_fill_(decoder_mask == 0, pad)
    labels.masked_fill_(decoder_mask == 0, IGNORED)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "decoder_input_ids": decoder_input_ids,
        "decoder_attention_mask": decoder_mask,
        "labels": labels,
    }


def shifted(labels: torch.Tensor) -> torch.Tensor:
    """The labels of a decoder-only model `[batch, time]` at the positions that give them: one further in front.

    They are its input, so each position is to give the next one's, and the last gives nothing.
    """
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], IGNORED)], dim=1)


def any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """What finds tokens of two characters or more in a text; nothing, without any."""
    words = sorted({token for token in tokens if len(token.strip()) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)) or "(?!)")


def apart(text: str, special: re.Pattern[str]) -> str:
    """A text in which special tokens that it spells out are text: with a space, as vocabularies hold them, too."""
    return special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def bare(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The pieces of texts, without anything around them."""
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]


def padded(rows: Ragged, pad: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one tensor.

    Args:
        rows: of ids.
        pad: the id of padding.
        left: whether padding is on the left.

    Returns:
        The ids `[batch, time]`, and a mask of the same shape that is 1 where they aren't padding.
    """
    inside = np.arange(rows.lengths.max()) < rows.lengths[:, None]
    inside = inside[:, ::-1] if left else inside
    ids = np.full(inside.shape, pad, dtype=np.int64)
    ids[inside] = rows.values
    return torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64))
