"""What every semantics says: how an FFN block computes with the selected neurons of a direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeAlias

import torch
from torch import nn

from neuronspec.models.sites import FFNSite
from neuronspec.specialization.selected import RowSelections, Selection

Selected: TypeAlias = Selection | RowSelections


class Semantics(ABC):
    """How the layers of an FFN block compute at full width, for one direction or one direction per row.

    What is computed may also be computed on the selected neurons alone (`restrict`), where that is faster, if the
    semantics `compacts`. Unselected neurons then give nothing but a constant.

    Attributes:
        compacts: whether a direction's function is that of a smaller model. Without it, layers always compute at full
            width, and there are no compact models.
        needs_neurons: whether a direction needs a neuron at every site.
        allows_lora: whether the layers may have LoRA around them.
        masks_inputs: whether a masked weight is that of `down`, whose inputs are the neurons; else those of the ups.
    """

    compacts: ClassVar[bool] = True
    needs_neurons: ClassVar[bool] = True
    allows_lora: ClassVar[bool] = True
    masks_inputs: ClassVar[bool] = False

    def has_constants(self, site: FFNSite) -> bool:
        """Whether unselected neurons of a site may give anything but 0."""
        return False

    @abstractmethod
    def up(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """Compute one of the site's `ups`.

        Args:
            layer: the linear layer; its own forward is `type(layer).forward(layer, x)`.
            x: the input of the block, `[..., d_model]`.
            selection: the selected neurons, or those of each row.

        Returns:
            Pre-activations, `[..., width]`.
        """

    @abstractmethod
    def down(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        """Compute the site's `down`.

        Args:
            layer: the linear layer.
            x: the values of the neurons, `[..., width]`.
            selection: as for `up`.

        Returns:
            The output of the block, `[..., d_model]`.
        """
