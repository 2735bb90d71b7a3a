"""Semantics `gradient`: the forward pass is the dense one, and a direction's text updates its own neurons alone."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from neuronspec.models.linear import bias_of, weight_of
from neuronspec.specialization.selected import RowSelections, Selection
from neuronspec.specialization.semantics.base import Selected, Semantics

TOKENS_AT_ONCE = 256
"""On a CPU the values of selected neurons are gathered for so many tokens at a time, which stay in the cache."""


class GradientSemantics(Semantics):
    """Neuron-targeted updates: what a direction computes is the dense model's, what it changes are its own neurons.

    The gradients of the unselected neurons' rows of the ups (weights and biases) and columns of `down` are zero. The
    gradients of the block's input and of the bias of `down` are the dense ones. The gradient of a weight is computed
    for the selected neurons alone, which saves up to a third of a block's work in training; where a batch mixes
    directions it is computed whole, from values that are masked row by row.

    Sources: LANDeRMT (Zhu et al., ACL 2024) and Gurgurov et al. (arXiv 2510.13580), who update the neurons of a
    language in a dense model.
    """

    compacts: ClassVar[bool] = False
    needs_neurons: ClassVar[bool] = False
    allows_lora: ClassVar[bool] = False

    def up(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.up`; the outputs of the layer are the neurons."""
        return _targeted(layer, x, selection, neurons_are_inputs=False)

    def down(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.down`; the inputs of the layer are the neurons."""
        return _targeted(layer, x, selection, neurons_are_inputs=True)


def _targeted(layer: nn.Module, x: torch.Tensor, selection: Selected, neurons_are_inputs: bool) -> torch.Tensor:
    if not torch.is_grad_enabled():
        return type(layer).forward(layer, x)
    weight, bias = weight_of(layer), bias_of(layer)
    device = x.device.type
    if torch.is_autocast_enabled(device):  # which doesn't look into a function of ours
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if isinstance(layer, Conv1D):
        weight = weight.t()
    return cast(torch.Tensor, _Linear.apply(x, weight, bias, selection, neurons_are_inputs))


class _Linear(torch.autograd.Function):
    """`x W^T + b`; the gradients of W and b are those of the selected neurons, that of x is whole."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, selection: Selected, inputs: bool
    ) -> torch.Tensor:
        """Compute the dense layer.

        Args:
            ctx: keeps what the backward pass needs.
            x: `[..., in]`.
            weight: `[out, in]`.
            bias: `[out]`.
            selection: the selected neurons, or those of each row.
            inputs: whether the neurons are the inputs of the layer; else they are its outputs.
        """
        ctx.selection, ctx.inputs = selection, inputs
        ctx.save_for_backward(x, weight)
        with torch.autocast(x.device.type, enabled=False):
            return functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        with torch.autocast(x.device.type, enabled=False):
            back = gradient @ weight if of_x else None
            if not of_weight and not of_bias:
                return back, None, None, None, None
            if isinstance(ctx.selection, RowSelections):
                own, bias = _of_rows(x, gradient, ctx.selection, ctx.inputs)
            else:
                own, bias = _of_one(x, gradient, ctx.selection, ctx.inputs, weight)
        return back, own, bias if of_bias else None, None, None


def _of_rows(
    x: torch.Tensor, gradient: torch.Tensor, selection: RowSelections, inputs: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of weight and bias, where each row has neurons of its own."""
    if inputs:
        x = selection.where(x, 0.0)
    else:
        gradient = selection.where(gradient, 0.0)
    gradient = gradient.flatten(0, -2)
    return gradient.t() @ x.flatten(0, -2), gradient.sum(0)


def _of_one(
    x: torch.Tensor, gradient: torch.Tensor, selection: Selection, inputs: bool, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradients of weight and bias, computed for the neurons of one direction and 0 for the others."""
    axis, neurons, count = (1 if inputs else 0), selection.padded, len(selection.selected)
    x, gradient = x.flatten(0, -2), gradient.flatten(0, -2)
    at_once = TOKENS_AT_ONCE if x.device.type == "cpu" and not torch.compiler.is_compiling() else max(len(x), 1)
    several = len(x) > at_once
    small: torch.Tensor | None = None
    for some, back in zip(x.split(at_once), gradient.split(at_once), strict=True):
        if inputs:
            left, right = back.t(), some.index_select(1, neurons)
        else:
            left, right = back.index_select(1, neurons).t(), some
        if small is None:
            small = left @ right
            small = small.to(torch.promote_types(small.dtype, torch.float32)) if several else small
        elif small.dtype == left.dtype:
            small.addmm_(left, right)
        else:  # a sum of many parts in bf16 would lose what a product in one piece doesn't
            small += left @ right
    assert small is not None  # no tokens are one part without rows
    whole = torch.zeros_like(weight, memory_format=torch.contiguous_format)
    whole.index_copy_(axis, selection.selected, small.narrow(axis, 0, count).to(whole.dtype))
    total = gradient.sum(0)
    if inputs:
        return whole, total
    own = torch.zeros_like(total)
    return whole, own.index_copy_(0, selection.selected, total.index_select(0, selection.selected))
