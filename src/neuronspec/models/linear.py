"""Linear layers as models have them: `nn.Linear`, GPT-2's `Conv1D`, whose weight is transposed, and PEFT's LoRA."""

from __future__ import annotations

import sys
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D


def is_linear(layer: nn.Module) -> bool:
    """Whether a layer is a plain linear one, `nn.Linear` or GPT-2's `Conv1D`, with floating-point weights."""
    if not isinstance(layer, (nn.Linear, Conv1D)):
        return False
    return weight_of(layer).dim() == 2 and weight_of(layer).is_floating_point()


def is_adapted(layer: nn.Module) -> bool:
    """Whether a layer is PEFT's `W x + B A x` (LoRA, without a bias of its own) around a plain linear one."""
    lora: Any = sys.modules.get("peft.tuners.lora")  # where PEFT isn't imported there are no such layers
    if lora is None or not isinstance(layer, lora.LoraLayer):
        return False
    return is_linear(layer.get_base_layer()) and not any(layer.lora_bias.values())


def weight_of(layer: nn.Module) -> torch.Tensor:
    """The weight of a linear layer: `[out, in]`, of a `Conv1D` `[in, out]`; of LoRA's that of the layer inside."""
    return cast(torch.Tensor, layer.weight)


def bias_of(layer: nn.Module) -> torch.Tensor | None:
    """The bias of a linear layer, `[out]`, if it has one."""
    return cast("torch.Tensor | None", layer.bias)


def linear(layer: nn.Module, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`layer` applied to `x` with another weight and bias, whose layout is that of its own weight."""
    return functional.linear(x, weight.t() if isinstance(layer, Conv1D) else weight, bias)
