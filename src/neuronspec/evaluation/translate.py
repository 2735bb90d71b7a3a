"""Translating sentences: sorted by length, in batches, one line out for each line in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.collate import TAGGED
from neuronspec.batching.plan import plan_in_order
from neuronspec.corpus.tokenizer import tag_id
from neuronspec.direction import Direction, DirectionLike
from neuronspec.evaluation.beam import beam_search
from neuronspec.recipe import EvaluationSettings


class Translations(list[str]):
    """Translations, one line a source in the order of the sources.

    Args:
        lines: the translations; no line holds a line break.
        truncated: how many sources were longer than the model reads, and were cut before translating.
    """

    def __init__(self, lines: Iterable[str], truncated: int = 0) -> None:
        super().__init__(lines)
        self.truncated = truncated


def translate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    direction: DirectionLike,
    settings: EvaluationSettings,
    *,
    progress: Callable[[int], None] | None = None,
) -> Translations:
    """Translate sentences with beam search, in the layout of M2M-100: source tag first, target tag forced.

    A translation has at most `min(settings.max_new_tokens, 2 * pieces of its source + 10)` tokens, tag and `</s>`
    among them: a model that runs away is cut soon. That, and the beam search, depend on the sentence alone, so
    neither the other sentences nor the batch size change a translation (but for rounding). A source with more pieces
    than the model has positions is cut and counted in `truncated`. An empty source gives an empty translation.

    Args:
        model: an encoder-decoder model; in eval mode for the time of the call.
        tokenizer: has a tag for both languages.
        sources: sentences.
        direction: source and target language.
        settings: beam, length penalty, padded source tokens in a batch, longest translation.
        progress: called after each batch with the number of sentences in it.

    Raises:
        DirectionError: the tokenizer has no tag for a language.
    """
    direction = Direction.parse(direction)
    tags = tag_id(tokenizer, direction.source), tag_id(tokenizer, direction.target)
    pieces, truncated = _pieces(tokenizer, sources, _longest_source(model))
    filled = [index for index, source in enumerate(sources) if source.strip()]
    lengths = np.array([len(pieces[index]) for index in filled], dtype=np.int64)
    lines = [""] * len(sources)
    was_training = model.training
    model.eval()
    try:
        for batch in plan_in_order(lengths, lengths, settings.batch_tokens):
            chosen = [filled[number] for number in batch]
            outputs = _translate_batch(model, tokenizer, [pieces[index] for index in chosen], tags, settings)
            for index, text in zip(chosen, tokenizer.batch_decode(outputs, skip_special_tokens=True), strict=True):
                lines[index] = " ".join(text.splitlines()).strip()
            if progress is not None:
                progress(len(chosen))
    finally:
        model.train(was_training)
    return Translations(lines, truncated)


def _pieces(
    tokenizer: PreTrainedTokenizerBase, sources: Sequence[str], longest: int | None
) -> tuple[list[list[int]], int]:
    """The piece ids of each source without tag and `</s>`, cut at `longest`; and how many were cut."""
    if not sources:
        return [], 0
    pieces = tokenizer(list(sources), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    if longest is None:
        return pieces, 0
    return [ids[:longest] for ids in pieces], sum(len(ids) > longest for ids in pieces)


def _longest_source(model: PreTrainedModel) -> int | None:
    """Pieces of a source that the model has positions for; None where positions are relative."""
    positions = getattr(model.config, "max_position_embeddings", None)
    return None if positions is None else positions - TAGGED


def _translate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pieces: list[list[int]],
    tags: tuple[int, int],
    settings: EvaluationSettings,
) -> torch.Tensor:
    """Token ids of the translations, `[batch, time]`."""
    rows = [torch.tensor([tags[0], *ids, tokenizer.eos_token_id]) for ids in pieces]
    input_ids = torch.nn.utils.rnn.pad_sequence(rows, True, tokenizer.pad_token_id).to(model.device)
    lengths = torch.tensor([len(row) for row in rows], device=model.device)
    limits = (2 * (lengths - TAGGED) + 10).clamp(max=settings.max_new_tokens)
    start = model.generation_config.decoder_start_token_id or model.config.decoder_start_token_id
    prompt = torch.tensor([[start, tags[1]]], device=model.device).expand(len(rows), 2)
    generate: Any = model.generate
    return generate(
        input_ids=input_ids,
        attention_mask=(torch.arange(input_ids.shape[1], device=model.device) < lengths[:, None]).long(),
        decoder_input_ids=prompt,
        num_beams=settings.beam,
        length_penalty=settings.length_penalty,
        max_length=int(limits.max()) + 1,
        do_sample=False,
        num_return_sequences=1,
        custom_generate=beam_search,
        limits=limits,
    )
