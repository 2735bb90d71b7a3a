"""Linear layers as models have them: `nn.Linear`, and GPT-2's `Conv1D`, whose weight is transposed."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D


def is_linear(layer: nn.Module) -> bool:
    """Whether a layer is a plain linear one, `nn.Linear` or GPT-2's `Conv1D`, with floating-point weights."""
    if not isinstance(layer, (nn.Linear, Conv1D)):
        return False
    return weight_of(layer).dim() == 2 and weight_of(layer).is_floating_point()


def weight_of(layer: nn.Module) -> torch.Tensor:
    """The weight of a linear layer: `[out, in]`, of a `Conv1D` `[in, out]`."""
    return cast(torch.Tensor, layer.weight)


def bias_of(layer: nn.Module) -> torch.Tensor | None:
    """The bias of a linear layer, `[out]`, if it has one."""
    return cast("torch.Tensor | None", layer.bias)


def linear(layer: nn.Module, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`layer` applied to `x` with another weight and bias, whose layout is that of its own weight."""
    return functional.linear(x, weight.t() if isinstance(layer, Conv1D) else weight, bias)
