"""Semantics `weight`: the rows of the ups' weights are masked, their bias is not (Tan et al., 2024, section 4)."""

from __future__ import annotations

import torch
from torch import nn

from neuronspec.models.linear import bias_of
from neuronspec.models.sites import FFNSite
from neuronspec.specialization.restrict import has_constants
from neuronspec.specialization.semantics.base import Selected, Semantics


class WeightSemantics(Semantics):
    """`FFN(x) = f((m*W1) x + b1) W2 + b2`: an unselected neuron gives the constant `f(b1)`; the paper's semantics.

    Masked weights make the pre-activation of an unselected neuron its bias, which is how it is computed here.
    """

    def has_constants(self, site: FFNSite) -> bool:
        """Whether the biases or the activation let masked neurons give anything but 0."""
        return has_constants(site)

    def up(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.up`."""
        out = type(layer).forward(layer, x)
        bias = bias_of(layer)
        return selection.where(out, 0.0 if bias is None else bias.to(out.dtype))

    def down(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.down`; it is the dense layer."""
        return type(layer).forward(layer, x)
