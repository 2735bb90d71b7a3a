"""Beam search that stops computing a sentence as soon as it is finished.

Hugging Face's loop computes every row of a batch until the last sentence has ended, and reorders the keys and values
of the source with the beams though all beams of a sentence share them. `beam_search` gives the same translations and
does neither; `generate` takes it as its decoding loop: `model.generate(..., custom_generate=beam_search, limits=...)`.

On a GPU each read of a number is a wait for all that was launched before. A step reads once: what its best
continuations are. From that the host knows which sentences are finished, and which rows are left out.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from neuronspec.core.errors import EvaluationError
from neuronspec.models.compatibility import cache_argument

Scored: TypeAlias = "tuple[float, torch.Tensor]"

NOT_FINITE = "the model's scores aren't finite numbers, so it can't translate; did it diverge?"

DROP_SHARE = 8
"""Rows of finished sentences are taken out when they are at least one in so many: taking out copies the caches."""


def beam_search(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: Callable[[Any, Any], torch.Tensor],
    generation_config: GenerationConfig,
    limits: torch.Tensor,
    length_penalty: float = 1.0,
    **model_inputs: Any,
) -> torch.Tensor:
    """The best hypothesis of each sentence, as `generate(num_beams=B, early_stopping=True)` finds it.

    Args:
        model: encoder-decoder or decoder-only.
        input_ids: `[batch * B, prompt]` what the decoder starts with, B equal rows per sentence; the prompt, padded on
            the left, of decoder-only models.
        logits_processor: of `generate`, applied to log-probabilities.
        generation_config: `num_beams`, `eos_token_id`, `pad_token_id`.
        limits: `[batch]` the longest translation of each sentence, in tokens after the start token or the prompt.
        length_penalty: exponent of the length.
        **model_inputs: as of `beam_search_n_best`.

    Raises:
        EvaluationError: the model gives NaN.

    Returns:
        `[batch, time]` the prompt and the translation with `</s>` (unless cut at its limit), padded.
    """
    found = beam_search_n_best(
        model, input_ids, logits_processor, generation_config, limits, length_penalty, **model_inputs
    )
    best = [kept[0][1] for kept in found]
    return torch.nn.utils.rnn.pad_sequence(best, True, generation_config.pad_token_id).to(input_ids.device)


def beam_search_n_best(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: Callable[[Any, Any], torch.Tensor],
    generation_config: GenerationConfig,
    limits: torch.Tensor,
    length_penalty: float = 1.0,
    avoid_empty: bool = False,
    **model_inputs: Any,
) -> list[list[Scored]]:
    """The best B finished hypotheses of each sentence with their scores, best first; at least one.

    A sentence is finished when B hypotheses of it are. A hypothesis scores the sum of its log-probabilities divided
    by `length ** length_penalty`, where the length counts all tokens after the decoder's start token: a forced tag,
    too, as with `forced_bos_token_id`; in decoder-only models all tokens after the prompt.

    Args:
        model: encoder-decoder or decoder-only.
        input_ids: `[batch * B, prompt]` what the decoder starts with, B equal rows per sentence; the prompt, padded on
            the left, of decoder-only models.
        logits_processor: of `generate`, applied to log-probabilities.
        generation_config: `num_beams`, `eos_token_id`, `pad_token_id`.
        limits: `[batch]` the longest translation of each sentence, in tokens after the start token or the prompt.
        length_penalty: exponent of the length.
        avoid_empty: as CTranslate2 does, count an empty translation only if `</s>` is the likeliest first token. As a
            second choice it would always be the first hypothesis to finish; here it takes its place in the beam and
            is dropped.
        **model_inputs: what `generate` prepares, with B equal rows per sentence: `encoder_outputs` (of encoder-decoder
            models), `attention_mask` of the source, an empty cache by the name of `cache_argument`. They aren't
            parameters of their own, because `generate` would then hand them over unprepared.

    Raises:
        EvaluationError: the model gives NaN.

    Returns:
        By sentence, scores and tokens `[time]`: the prompt and the translation with `</s>` (unless cut at its limit).
    """
    beams, encoded = generation_config.num_beams, model_inputs.get("encoder_outputs")
    mask = model_inputs.get("attention_mask")  # `generate` leaves out that of prompts that are all as long
    state = _State(
        sequences=input_ids[::beams],
        scores=torch.zeros(len(limits), 1, device=input_ids.device),
        sentences=list(range(len(limits))),
        encoded=None if encoded is None else encoded.last_hidden_state[::beams],
        source_mask=(torch.ones_like(input_ids) if mask is None else mask)[::beams],
        cache=model_inputs[cache_argument()],
        uncounted=1 if encoded is not None else input_ids.shape[1],
    )
    finished = _Finished(len(limits), beams, length_penalty)
    longest = limits.tolist()
    ends_with = torch.tensor(generation_config.eos_token_id, device=input_ids.device).reshape(-1)
    while True:
        log_probs = logits_processor(state.sequences, _next_log_probs(model, state))
        scores, rows, tokens = _best_continuations(state, log_probs, (1 + len(ends_with)) * beams)
        length = state.sequences.shape[1] + 1 - state.uncounted  # with the new token
        ends = torch.isin(tokens, ends_with)
        dropped = torch.zeros_like(ends)
        if avoid_empty and state.sequences.shape[1] == input_ids.shape[1]:
            dropped[:, 1:beams] = ends[:, 1:beams]
            scores = scores.masked_fill(dropped, -torch.inf)
        at_limit = [length >= longest[sentence] for sentence in state.sentences]
        finished.add(state, scores, rows, tokens, ends, at_limit, length)
        done = [cut or finished.full(each) for cut, each in zip(at_limit, state.sentences, strict=True)]
        if all(done):
            return finished.hypotheses()
        chosen = scores.masked_fill(ends, -torch.inf).masked_fill(dropped, torch.inf).topk(beams).indices
        scores = scores.masked_fill(ends, -torch.inf).gather(1, chosen)
        state.advance(scores, rows.gather(1, chosen), tokens.gather(1, chosen), done)


@dataclass
class _State:
    """The hypotheses that are still being written: `width` (1 at first, then B) rows for each sentence.

    Args:
        sequences: `[open * width, time]` tokens.
        scores: `[open, width]` sums of log-probabilities.
        sentences: by open sentence, its index in the batch.
        encoded, source_mask, cache: of the same rows as `sequences`; no `encoded` in decoder-only models.
        uncounted: tokens of a sequence that its length doesn't count.
    """

    sequences: torch.Tensor
    scores: torch.Tensor
    sentences: list[int]
    encoded: torch.Tensor | None
    source_mask: torch.Tensor
    cache: Any  # EncoderDecoderCache or DynamicCache, whose annotations ask for LongTensor
    uncounted: int

    def advance(self, scores: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor, done: Sequence[bool]) -> None:
        """Continue with hypotheses `rows` `[open, B]` extended by `tokens`; `done` sentences may be left out."""
        leave = any(done) and sum(done) * DROP_SHARE >= len(done)
        if leave:
            places = [place for place, left in enumerate(done) if not left]
            kept = torch.tensor(places).to(scores.device, non_blocking=True)
            scores, rows, tokens = (each.index_select(0, kept) for each in (scores, rows, tokens))
            self.sentences = [self.sentences[place] for place in places]
        order = rows.reshape(-1)
        if self.encoded is None:
            self.cache.reorder_cache(order)
            self.source_mask = self.source_mask[order]
        else:
            self.cache.self_attention_cache.reorder_cache(order)
            if leave or len(order) != len(self.sequences):
                self.cache.cross_attention_cache.reorder_cache(order)
                self.encoded, self.source_mask = self.encoded[order], self.source_mask[order]
        self.sequences = torch.cat([self.sequences[order], tokens.reshape(-1, 1)], dim=1)
        self.scores = scores


class _Finished:
    """The best B finished hypotheses of each sentence."""

    def __init__(self, sentences: int, beams: int, length_penalty: float) -> None:
        self._beams, self._penalty = beams, length_penalty
        self._kept: list[list[Scored]] = [[] for _ in range(sentences)]

    def add(
        self,
        state: _State,
        scores: torch.Tensor,
        rows: torch.Tensor,
        tokens: torch.Tensor,
        ends: torch.Tensor,
        at_limit: Sequence[bool],
        length: int,
    ) -> None:
        """Take those of the best B continuations that end, or are cut, of sentences that aren't full."""
        best = [each[:, : self._beams].double() for each in (scores, rows, ends)]  # exact: scores are float32
        for index, candidates in enumerate(torch.stack(best, -1).tolist()):
            sentence = state.sentences[index]
            if self.full(sentence):
                continue
            kept = self._kept[sentence]
            for candidate, (score, row, has_ended) in enumerate(candidates):
                if (has_ended or at_limit[index]) and math.isfinite(score):
                    sequence = torch.cat([state.sequences[int(row)], tokens[index, candidate, None]])
                    kept.append((score / length**self._penalty, sequence))
            self._kept[sentence] = sorted(kept, key=lambda item: -item[0])[: self._beams]

    def full(self, sentence: int) -> bool:
        """Whether a sentence has B finished hypotheses."""
        return len(self._kept[sentence]) == self._beams

    def hypotheses(self) -> list[list[Scored]]:
        """The finished hypotheses of each sentence, best first, on the CPU."""
        if not all(self._kept):
            raise EvaluationError(NOT_FINITE)
        sequences = [sequence for kept in self._kept for _, sequence in kept]
        tokens = iter(torch.cat(sequences).cpu().split([len(sequence) for sequence in sequences]))
        return [[(score, next(tokens)) for score, _ in kept] for kept in self._kept]


def _next_log_probs(model: PreTrainedModel, state: _State) -> torch.Tensor:
    """Run the decoder on the tokens that aren't in the cache; `[rows, vocabulary]` of the next token, in float32."""
    known = state.cache.get_seq_length()
    kept: dict[str, Any] = {cache_argument(): state.cache, "use_cache": True}
    if state.encoded is None:
        written = state.sequences.shape[1] - state.source_mask.shape[1]
        mask = torch.cat([state.source_mask, state.source_mask.new_ones(len(state.sequences), written)], dim=1)
        takes = inspect.signature(model.forward).parameters
        options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        if "position_ids" in takes:
            options["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, known:]
        output = model(
            input_ids=state.sequences[:, known:],
            attention_mask=mask,
            **kept,
            **options,
        )
        return output.logits[:, -1].float().log_softmax(-1)
    output = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=state.encoded),
        attention_mask=state.source_mask,
        decoder_input_ids=state.sequences[:, known:],
        **kept,
    )
    return output.logits[:, -1].float().log_softmax(-1)


def _best_continuations(
    state: _State, log_probs: torch.Tensor, number: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best continuations of each sentence: scores, rows of `state.sequences`, tokens; each `[open, number]`."""
    still_open, width = state.scores.shape
    vocabulary = log_probs.shape[-1]
    totals = (log_probs.view(still_open, width, vocabulary) + state.scores[:, :, None]).view(still_open, -1)
    scores, indices = totals.topk(min(number, totals.shape[1]))
    first_rows = torch.arange(still_open, device=log_probs.device)[:, None] * width
    return scores, indices // vocabulary + first_rows, indices % vocabulary
