"""Layers on real tokens alone: padding is put back for the products of attention, and nowhere else.

Sentences of a batch differ in length, so a tenth of its positions and more are padding. Inside of `packed_layers` the
layers of an encoder-decoder model compute states `[1, tokens, width]` in place of `[rows, time, width]`. All but
attention treats positions alike; `short_attention` unpacks queries, keys and values, and packs what it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Side:
    """Where the real tokens of the sources or of the targets of a batch are.

    Args:
        rows: sentences.
        time: tokens of the longest one.
        places: LongTensor `[tokens]`, as indices into `[rows * time]`, ascending.
        maps: by heads of attention, found when first needed; see `to_heads`.
    """

    rows: int
    time: int
    places: torch.Tensor
    maps: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, mask: torch.Tensor) -> Side:
        """Of a mask of padding `[rows, time]`, nonzero at real tokens."""
        rows, time = mask.shape
        return cls(rows, time, mask.flatten().nonzero().squeeze(1))

    def pack(self, states: torch.Tensor) -> torch.Tensor:
        """`[1, tokens, ...]` of `[rows, time, ...]`; what is packed stays as it is."""
        if states.shape[:2] == (1, len(self.places)):
            return states
        return _Pack.apply(states.flatten(0, 1), self.places)[None]

    def to_heads(self, states: torch.Tensor) -> torch.Tensor:
        """`[rows, heads, time, width]` of `[1, heads, tokens, width]`; padding holds a copy of some real token.

        Attention to padding is masked, and what padding attends to is left out by `from_heads`. So nothing depends on
        what padding holds, and its gradient is zero.
        """
        heads, width = states.shape[1], states.shape[3]
        into, out = self._between(heads)
        found = _ToHeads.apply(states[0].transpose(0, 1).reshape(-1, width), into, out)
        return found.view(self.rows, heads, self.time, width)

    def from_heads(self, states: torch.Tensor) -> torch.Tensor:
        """`[1, tokens, heads, width]` of `[rows, heads, time, width]`."""
        heads, width = states.shape[1], states.shape[3]
        _, out = self._between(heads)
        return _Pack.apply(states.reshape(-1, width), out).view(1, len(self.places), heads, width)

    def _between(self, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
        """For each of `[rows * heads * time]` its place in `[tokens * heads]`, and the other way round."""
        if heads not in self.maps:
            tokens = torch.arange(len(self.places), device=self.places.device)
            token = tokens.new_zeros(self.rows * self.time).index_copy_(0, self.places, tokens)
            head = torch.arange(heads, device=tokens.device)
            into = token.view(self.rows, 1, self.time) * heads + head[:, None]
            row, time = self.places // self.time, self.places % self.time
            out = (row[:, None] * heads + head) * self.time + time[:, None]
            self.maps[heads] = into.flatten(), out.flatten()
        return self.maps[heads]


@dataclass(frozen=True, slots=True)
class Packing:
    """The real tokens of both sides of a batch."""

    source: Side
    target: Side

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Packing:
        """The same with its tensors changed."""
        return Packing(*(Side(side.rows, side.time, change(side.places)) for side in (self.source, self.target)))

    @property
    def padding(self) -> float:
        """The share of the batch's positions that is padding."""
        sides = self.source, self.target
        return 1 - sum(len(side.places) for side in sides) / sum(side.rows * side.time for side in sides)

    def sides_of(self, attention: Any) -> tuple[Side, Side]:
        """Whose queries an attention layer has, and whose keys and values."""
        queries = self.target if attention.is_decoder else self.source
        return queries, self.target if attention.is_causal else self.source


@contextmanager
def packed_layers(model: PreTrainedModel, packing: Packing | None) -> Iterator[None]:
    """Inside of the block layers of the model get packed states; None changes nothing.

    A layer that is left out at random packs nothing, so each one looks whether its states are packed.
    """
    handles = []
    if packing is not None:
        for part, side in ((model.get_encoder(), packing.source), (model.get_decoder(), packing.target)):
            handles += [layer.register_forward_pre_hook(_packing(side)) for layer in part.get_submodule("layers")]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _packing(side: Side) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    return lambda _, arguments: (side.pack(arguments[0]), *arguments[1:])


class _Pack(torch.autograd.Function):
    """As `index_select`, whose backward pass adds up where nothing is to be added."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(padded)
        return padded.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,), (packed,) = ctx.saved_tensors, gradients
        return packed.new_zeros(ctx.size, *packed.shape[1:]).index_copy_(0, places, packed), None


class _ToHeads(torch.autograd.Function):
    """`index_select` of places whose gradient, where they repeat, is zero but in one of them."""

    @staticmethod
    def forward(ctx: Any, packed: torch.Tensor, into: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(out)
        return packed.index_select(0, into)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (out,), (padded,) = ctx.saved_tensors, gradients
        return padded.index_select(0, out), None, None
