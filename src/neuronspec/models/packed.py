"""Layers on real tokens alone: padding is put back for the products of attention, and nowhere else.

Sentences of a batch differ in length, so a tenth of its positions and more are padding. Inside of `packed_layers` the
layers of an encoder-decoder model compute states `[1, tokens, width]` in place of `[rows, time, width]`. All but
attention treats positions alike; `short_attention` unpacks queries, keys and values, and packs what it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    """

    rows: int
    time: int
    places: torch.Tensor

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

    def unpack(self, states: torch.Tensor) -> torch.Tensor:
        """`[rows, time, ...]`, with zeros for padding, of `[1, tokens, ...]`."""
        padded = _Unpack.apply(states[0], self.places, self.rows * self.time)
        return padded.unflatten(0, (self.rows, self.time))


@dataclass(frozen=True, slots=True)
class Packing:
    """The real tokens of both sides of a batch."""

    source: Side
    target: Side

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Packing:
        """The same with its tensors changed."""
        return Packing(*(replace(side, places=change(side.places)) for side in (self.source, self.target)))

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
        return _Unpack.apply(*gradients, *ctx.saved_tensors, ctx.size), None


class _Unpack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, packed: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:
        ctx.save_for_backward(places)
        return packed.new_zeros(size, *packed.shape[1:]).index_copy_(0, places, packed)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Pack.apply(*gradients, *ctx.saved_tensors), None, None
