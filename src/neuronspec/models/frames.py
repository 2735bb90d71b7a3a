"""What kinds of models have around, before and between the two sentences of a pair: strategies of `TextFormat`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, nearest
from neuronspec.core.languages import fitting_languages, name_of

IGNORED = -100
"""The label of positions that take no loss."""

TAGGED = 2
"""Tokens that a side of a pair has beside its pieces in the `Tagged` format: its tag and `</s>`."""

LONGEST = 256
"""Tokens per side at most where raw text is encoded; longer sentences are cut."""

Pair: TypeAlias = tuple[np.ndarray, np.ndarray]
"""The piece ids of a source and of its target, without tags or `</s>`."""

Inputs: TypeAlias = dict[str, torch.Tensor]
"""Keyword arguments of a model; see `neuronspec.models.batch.Batch`."""


class Frame(ABC):
    """What a kind of model has around, before and between the two sentences of a pair."""

    tokenizer: Any

    @abstractmethod
    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Encode raw text.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """

    def pieces(self, directions: Sequence[Direction], pairs: Sequence[Pair]) -> Inputs:
        """Frame piece ids, `pairs[i]` of `directions[i]`.

        Raises:
            ModelError: models of this kind aren't trained on a token store.
        """
        raise ModelError(f"sentences of a token store can't be framed for {type(self).__name__.lower()} models")


@dataclass(frozen=True, slots=True)
class Tagged(Frame):
    """The format of M2M-100 (Fan et al., 2021), that of all models trained here.

    The source is `[__src__, pieces, </s>]`; the decoder reads `[</s>, __tgt__, pieces]` and is to give
    `[__tgt__, pieces, </s>]`. The target tag is forced in translation, so its label takes no loss. Padding is on the
    right.

    Args:
        tags: language code to the id of its tag.
        pad: id of padding.
        eos: id of `</s>`, which is also the decoder's start token.
        tokenizer: cuts raw text into pieces.
    """

    tags: Mapping[str, int]
    pad: int
    eos: int
    tokenizer: Any = field(default=None, compare=False, repr=False)

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Encode raw text, uncut."""
        sides = (
            [np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64) for text in side]
            for side in (sources, targets)
        )
        return self.pieces([direction] * len(sources), list(zip(*sides, strict=True)))

    def pieces(self, directions: Sequence[Direction], pairs: Sequence[Pair]) -> Inputs:
        """Frame piece ids, `pairs[i]` of `directions[i]`."""
        framed = list(zip(directions, pairs, strict=True))
        sources = [np.concatenate(([self.tags[one.source]], source, [self.eos])) for one, (source, _) in framed]
        targets = [np.concatenate(([self.tags[one.target]], target, [self.eos])) for one, (_, target) in framed]
        input_ids, attention_mask = padded(sources, self.pad)
        labels, decoder_mask = padded(targets, self.pad)
        decoder_input_ids = torch.full_like(labels, self.pad)
        decoder_input_ids[:, 0] = self.eos
        decoder_input_ids[:, 1:] = labels[:, :-1]
        decoder_input_ids.masked_fill_(decoder_mask == 0, self.pad)
        labels.masked_fill_(decoder_mask == 0, IGNORED)
        labels[:, 0] = IGNORED
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "decoder_input_ids": decoder_input_ids,
            "decoder_attention_mask": decoder_mask,
            "labels": labels,
        }


class _OfModel(Frame):
    """A frame for a model of Hugging Face and its tokenizer."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if self.pad is None:
            raise ModelError("the tokenizer has neither a padding nor an end token, so sentences can't be batched")

    def encoder_decoder(self, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Source and target as the tokenizer frames them, for a model with an encoder."""
        common = {"padding": True, "truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
        encoded = self.tokenizer(list(sources), **common)
        target = self.tokenizer(text_target=list(targets), **common)
        mask = target["attention_mask"]
        labels = target["input_ids"].masked_fill(mask == 0, IGNORED)
        return {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "labels": labels,
            "decoder_input_ids": self._shifted(labels),
            "decoder_attention_mask": mask,
        }

    def _shifted(self, labels: torch.Tensor) -> torch.Tensor:
        """What the decoder reads to give `labels`: as the model makes it, or its start token and all but the last."""
        if hasattr(self.model, "prepare_decoder_input_ids_from_labels"):
            return self.model.prepare_decoder_input_ids_from_labels(labels=labels)
        start = torch.full_like(labels[:, :1], self.model.config.decoder_start_token_id)
        return torch.cat([start, labels[:, :-1]], dim=1).masked_fill(labels == IGNORED, self.pad)


class Coded(_OfModel):
    """Encoder-decoder models whose tokenizer has `src_lang` and `tgt_lang` (M2M100, NLLB, mBART): its own codes."""

    def __init__(self, tokenizer: Any, model: Any, codes: Mapping[str, str]) -> None:
        super().__init__(tokenizer, model)
        self._codes = codes

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Encode raw text, cut to `LONGEST` tokens per side."""
        self.tokenizer.src_lang, self.tokenizer.tgt_lang = self._code(direction.source), self._code(direction.target)
        return self.encoder_decoder(sources, targets)

    def _code(self, language: str) -> str:
        _, fitting = fitting_languages(language, self._codes)
        tokens = {self._codes[spelling] for spelling in fitting}
        if len(tokens) != 1:
            raise DirectionError(
                f"the tokenizer has no code for language {language!r}; {nearest(language, self._codes)}"
            )
        return tokens.pop()


class Prompted(_OfModel):
    """Encoder-decoder models that know nothing of languages, or that are told in words, as T5: a prompt as source."""

    def __init__(self, tokenizer: Any, model: Any, prompt: str) -> None:
        super().__init__(tokenizer, model)
        self._prompt = prompt

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Encode raw text, cut to `LONGEST` tokens per side."""
        return self.encoder_decoder([_filled(self._prompt, direction, text) for text in sources], targets)


class Causal(_OfModel):
    """Decoder-only models: a prompt with the source, then the target, which alone takes loss, and the end token."""

    def __init__(self, tokenizer: Any, model: Any, prompt: str) -> None:
        super().__init__(tokenizer, model)
        self._prompt = prompt

    def texts(self, direction: Direction, sources: Sequence[str], targets: Sequence[str]) -> Inputs:
        """Encode raw text, prompt and target cut to `LONGEST` tokens each."""
        end = [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]
        rows, starts = [], []
        for source, target in zip(sources, targets, strict=True):
            prompt = self.tokenizer(_filled(self._prompt, direction, source))["input_ids"][:LONGEST]
            rest = self.tokenizer(target, add_special_tokens=False)["input_ids"][:LONGEST]
            rows.append(np.array([*prompt, *rest, *end], dtype=np.int64))
            starts.append(len(prompt))
        ids, mask = padded(rows, self.pad)
        takes_loss = (torch.arange(ids.shape[1]) >= torch.tensor(starts)[:, None]) & (mask == 1)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~takes_loss, IGNORED)}


def padded(rows: Sequence[np.ndarray], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one tensor, padded on the right.

    Returns:
        The ids `[batch, time]`, and a mask of the same shape that is 1 where they aren't padding.
    """
    lengths = np.array([len(row) for row in rows])
    inside = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(inside.shape, pad, dtype=np.int64)
    ids[inside] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(inside.astype(np.int64))


def _filled(prompt: str, direction: Direction, text: str) -> str:
    words = {
        "source": name_of(direction.source),
        "target": name_of(direction.target),
        "source_code": direction.source,
        "target_code": direction.target,
    }
    for place, word in words.items():
        prompt = prompt.replace(f"{{{place}}}", word)
    return prompt.replace("{text}", text)  # last, since a text may hold braces
