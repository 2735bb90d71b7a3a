"""Semantics `neuron`: unselected neurons give 0."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from neuronspec.specialization.semantics.base import Selected, Semantics


class NeuronSemantics(Semantics):
    """`FFN(x) = (m * f(W1 x + b1)) W2 + b2`: an unselected neuron gives 0."""

    masks_inputs: ClassVar[bool] = True

    def up(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.up`; it is the dense layer."""
        return type(layer).forward(layer, x)

    def down(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """See `Semantics.down`."""
        return type(layer).forward(layer, selection.where(x, 0.0))
