"""From token ids of sentence pairs to the padded tensors of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from neuronspec.core.direction import Direction, languages_of
from neuronspec.models.batch import Batch, MixedBatch

IGNORED = -100
"""The label of positions that take no loss."""

TAGGED = 2
"""Tokens that a side of a pair has beside its pieces: its tag and `</s>`."""

Pair: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The piece ids of a source and of its target, without tags or `</s>`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The ids that frame a sentence.

    Args:
        tags: language code to the id of its tag.
        pad: id of padding.
        eos: id of `</s>`, which is also the decoder's start token.
    """

    tags: Mapping[str, int]
    pad: int
    eos: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, directions: Iterable[Direction]) -> Layout:
        """The layout of `tokenizer` for the languages of `directions`.

        Raises:
            DirectionError: the tokenizer has no tag for a language.
        """
        from neuronspec.models.tokenizer import tag_id

        tags = {code: tag_id(tokenizer, code) for code in languages_of(directions)}
        return cls(tags, tokenizer.pad_token_id, tokenizer.eos_token_id)


def collate(direction: Direction, pairs: Sequence[Pair], layout: Layout) -> Batch:
    """Sentence pairs of one direction (piece ids without tags or `</s>`) as a batch.

    The layout is M2M-100's: the source is `[__src__, pieces, </s>]`; the decoder reads `[</s>, __tgt__, pieces]`
    and is to give `[__tgt__, pieces, </s>]`. The target tag is forced in translation, so its label takes no loss.
    Padding stands on the right.
    """
    return Batch(direction, _inputs([direction] * len(pairs), pairs, layout))


def collate_mixed(directions: Sequence[Direction], pairs: Sequence[Pair], layout: Layout) -> MixedBatch:
    """Sentence pairs, `pairs[i]` of `directions[i]`, as a batch that mixes directions; rows as in `collate`."""
    return MixedBatch(directions[0], _inputs(directions, pairs, layout), tuple(directions))


def _inputs(directions: Sequence[Direction], pairs: Sequence[Pair], layout: Layout) -> dict[str, torch.Tensor]:
    framed = list(zip(directions, pairs, strict=True))
    sources = [np.concatenate(([layout.tags[one.source]], source, [layout.eos])) for one, (source, _) in framed]
    targets = [np.concatenate(([layout.tags[one.target]], target, [layout.eos])) for one, (_, target) in framed]
    input_ids, attention_mask = _padded(sources, layout.pad)
    labels, decoder_mask = _padded(targets, layout.pad)
    decoder_input_ids = torch.full_like(labels, layout.pad)
    decoder_input_ids[:, 0] = layout.eos
    decoder_input_ids[:, 1:] = labels[:, :-1]
    decoder_input_ids.masked_fill_(decoder_mask == 0, layout.pad)
    labels.masked_fill_(decoder_mask == 0, IGNORED)
    labels[:, 0] = IGNORED
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "decoder_input_ids": decoder_input_ids,
        "decoder_attention_mask": decoder_mask,
        "labels": labels,
    }


def _padded(rows: Sequence[np.ndarray], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as `[batch, time]`, and the mask that is 1 where they aren't padding."""
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(inside.shape, pad, dtype=np.int64)
    ids[inside] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64))
