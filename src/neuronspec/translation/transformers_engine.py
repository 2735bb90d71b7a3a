"""The `transformers` engine: any model, with or without an encoder, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.direction import Direction
from neuronspec.core.errors import ModelError
from neuronspec.models.frames import padded
from neuronspec.models.ragged import Ragged
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import composed_from, serve, use_direction
from neuronspec.translation.beam import beam_search_n_best
from neuronspec.translation.engine import Engine, Hypothesis, ends_of, longest_source_of, room_for_source
from neuronspec.translation.settings import EvaluationSettings


class TransformersEngine(Engine):
    """Runs the model itself, with the masks that are on it.

    Where a scope of `use_direction` is open, that one counts; else a specialized model computes the direction that is
    translated, and one without masks of its own by zero-shot composition.

    Args:
        model: encoder-decoder or decoder-only; in eval mode for the time of a call.
        tokenizer, settings: as of `Engine`.
        pivot: the language that zero-shot directions are composed over, where several would do.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        pivot: str | None = None,
    ) -> None:
        super().__init__(tokenizer, settings)
        self.model = model
        self.pivot = pivot

    @classmethod
    def from_model(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: EvaluationSettings,
        pivot: str | None = None,
    ) -> TransformersEngine:
        """See `Engine.from_model`."""
        return cls(model, tokenizer, settings, pivot)

    def longest_source(self) -> int | None:
        """See `Engine.longest_source`."""
        framing = self.text_format.frame.framing
        return room_for_source(longest_source_of(self.model, framing), framing, self.settings)

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        """See `Engine.origin`."""
        return composed_from(self.model, direction)

    def search(self, batches: Sequence[list[list[int]]], direction: Direction) -> Iterator[list[list[Hypothesis]]]:
        """See `Engine.search`."""
        with self._serving(direction):
            for batch in batches:
                yield self._search_batch(batch, direction)

    @contextmanager
    def _serving(self, direction: Direction) -> Iterator[None]:
        """The model in eval mode, computing a direction unless a scope of `use_direction` is open."""
        state = attached(self.model)
        own_scope = state is not None and state.active is None
        if own_scope:
            serve(self.model, direction, self.pivot)
        was_training = self.model.training
        self.model.eval()
        try:
            with use_direction(self.model, direction) if own_scope else nullcontext():
                yield
        finally:
            self.model.train(was_training)

    def attention(self, sources: list[list[int]], targets: list[list[int]], direction: Direction) -> list[np.ndarray]:
        """See `Engine.attention`; it is the mean of all heads."""
        layers = getattr(getattr(self.model.get_decoder(), "layers", None), "__getitem__", None)
        cross: Any = getattr(layers(-1), "encoder_attn", None) if layers is not None else None
        if not all(hasattr(cross, name) for name in ("q_proj", "k_proj", "num_heads")):
            raise ModelError(f"the attention of a {type(self.model).__name__} can't be read")
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            getattr(cross, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
            for name in ("q_proj", "k_proj")
        ]
        try:
            return [
                self._attended(source, target, direction, cross.num_heads, seen)
                for source, target in zip(sources, targets, strict=True)
            ]
        finally:
            for hook in hooks:
                hook.remove()

    def _attended(
        self,
        source: list[int],
        target: list[int],
        direction: Direction,
        heads: int,
        seen: dict[str, torch.Tensor],
    ) -> np.ndarray:
        """The attention of one pair; `seen` gets the queries and keys of the last layer."""
        model, frame = self.model, self.text_format.frame
        rows = [frame.read(source, direction), [*frame.start(direction), *target]]
        input_ids, decoder_input_ids = (torch.tensor([row], device=model.device) for row in rows)
        with self._serving(direction), torch.no_grad():
            model(input_ids=input_ids, decoder_input_ids=decoder_input_ids, use_cache=False)
        query, key = (seen[name][0].float().unflatten(-1, (heads, -1)).transpose(0, 1) for name in ("q_proj", "k_proj"))
        weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1).mean(0)
        # the state after a piece gives the next: the row before a piece is its own
        first = len(frame.start(direction)) - 1
        return weights[first : first + len(target), 1 : 1 + len(source)].double().cpu().numpy()

    def _search_batch(self, sources: list[list[int]], direction: Direction) -> list[list[Hypothesis]]:
        model, settings, frame = self.model, self.settings, self.text_format.frame
        rows = [frame.read(ids, direction) for ids in sources]
        causal = self.text_format.is_causal
        input_ids, mask = (ids.to(model.device) for ids in padded(Ragged.of(rows), frame.pad, left=causal))
        limits, start, ends = self.limits(sources, direction), frame.start(direction), ends_of(model, self.text_format)
        prompt: dict[str, Any] = {}
        if not causal:
            prompt["decoder_input_ids"] = torch.tensor([start], device=model.device).expand(len(rows), len(start))
        before = input_ids.shape[1] if causal else len(start)
        generate: Any = model.generate
        found = generate(
            input_ids=input_ids,
            attention_mask=mask,
            **prompt,
            num_beams=settings.beam,
            eos_token_id=ends,
            pad_token_id=frame.pad,
            length_penalty=settings.length_penalty,
            max_length=max(limits) + (before if causal else 1),
            forced_eos_token_id=None,  # at the longest limit of a batch, which is another sentence's
            do_sample=False,
            num_return_sequences=1,
            custom_generate=beam_search_n_best,
            avoid_empty=True,
            limits=torch.tensor(limits),
        )
        return [[Hypothesis(_written(ids.tolist(), before, ends), score) for score, ids in kept] for kept in found]


def _written(ids: list[int], before: int, ends: list[int]) -> list[int]:
    """Without what it began with, and without its end."""
    return ids[before : -1 if len(ids) > before and ids[-1] in ends else None]
