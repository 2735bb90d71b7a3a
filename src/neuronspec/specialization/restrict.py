"""The layers of an FFN block restricted to some of its neurons: smaller weights, with exact gradients.

With the selected neurons S of a block, weight semantics and no gate,

    down(f(m*W1 x + b1)) = W2[:, S] f(W1[S] x + b1[S]) + (b2 + W2[:, ~S] f(b1[~S])),

and in a gated block `f(b_gate) * b_up` in place of `f(b1)`. With neuron semantics the last term is missing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D

from neuronspec.models.linear import bias_of, weight_of
from neuronspec.models.sites import FFNSite
from neuronspec.specialization.selected import Selection


def small_up(up: nn.Module, selection: Selection) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of `up` for the selected neurons, in the padded order of `selection`."""
    axis = 1 if isinstance(up, Conv1D) else 0
    bias = bias_of(up)
    return weight_of(up).index_select(axis, selection.padded), (
        None if bias is None else bias.index_select(0, selection.padded)
    )


def small_down(site: FFNSite, selection: Selection, with_constants: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight of `down` for the selected neurons, and its bias; with what the unselected give in it if asked for."""
    axis = 0 if isinstance(site.down, Conv1D) else 1
    values = None
    if with_constants:
        values = unselected_values(site).to(weight_of(site.down).dtype).index_fill(0, selection.selected, 0)
    weight, shift = _SelectInputs.apply(weight_of(site.down), values, selection, axis)
    bias = bias_of(site.down)
    if shift is None:
        return weight, bias
    return weight, shift.to(weight.dtype) if bias is None else bias + shift.to(bias.dtype)


def masked_weight(layer: nn.Module, selection: Selection, neurons_are_inputs: bool) -> torch.Tensor:
    """The weight of one of the ups, or of `down`, that is zero for unselected neurons."""
    weight = weight_of(layer)
    mask = selection.mask.to(weight.dtype)
    return weight * (mask if neurons_are_inputs != isinstance(layer, Conv1D) else mask[:, None])


def has_constants(site: FFNSite) -> bool:
    """Whether neurons with masked weights may give anything but zero.

    They don't where there are no biases and f(0) = 0, nor in a gated block whose ungated half has no bias.
    """
    if len(site.ups) == 2 and site.ups[1].bias is None:
        return False
    if site.ups[0].bias is not None or list(getattr(site.activation, "parameters", tuple)()):
        return True
    with torch.no_grad():
        return bool(site.activation(torch.zeros(1)).item())


def unselected_values(site: FFNSite) -> torch.Tensor:
    """What each neuron gives where its weights are masked: `f(b1)`, gated `f(b_gate) * b_up`. `[width]`."""
    value = site.activation(_bias(site.ups[0], site.width))
    for up in site.ups[1:]:
        value = value * _bias(up, site.width)
    return value


def _bias(up: nn.Module, width: int) -> torch.Tensor:
    bias = bias_of(up)
    return weight_of(up).new_zeros(width) if bias is None else bias


class _SelectInputs(torch.autograd.Function):
    """`down`'s weight for the selected neurons, and the product of its weight with the unselected neurons' values.

    One function, so that the gradient of the weight is made once: an outer product (or zeros) plus the columns
    of the selected neurons. The padding's columns are zero, so whatever the padding neurons give doesn't count.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, values: torch.Tensor | None, selection: Selection, axis: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        ctx.selected, ctx.axis = selection.selected, axis
        small = weight.index_select(axis, selection.padded)
        count = len(selection.selected)
        small.narrow(axis, count, len(selection.padded) - count).zero_()
        ctx.save_for_backward(weight, values)
        if values is None:
            return small, None
        with torch.autocast(weight.device.type, enabled=False):
            return small, (weight @ values if axis == 1 else values @ weight)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, small_gradient: torch.Tensor, shift_gradient: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        weight, values = ctx.saved_tensors
        values_gradient = None
        with torch.autocast(weight.device.type, enabled=False):
            if values is None or shift_gradient is None:
                gradient = torch.zeros_like(weight)
            elif ctx.axis == 1:
                gradient = torch.outer(shift_gradient, values)
                values_gradient = shift_gradient @ weight
            else:
                gradient = torch.outer(values, shift_gradient)
                values_gradient = weight @ shift_gradient
        own = small_gradient.narrow(ctx.axis, 0, len(ctx.selected))
        gradient.index_add_(ctx.axis, ctx.selected, own.to(gradient.dtype))
        return gradient, values_gradient, None, None
