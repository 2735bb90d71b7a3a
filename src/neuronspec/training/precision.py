"""Which arithmetic a machine trains in, and how much memory that takes."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn


def resolve_precision(precision: str, device: torch.device) -> str:
    """`bf16` or `float32` for the recipe's `auto`: bf16 where the device multiplies it in hardware.

    On a CPU that is AVX-512 BF16 or AMX; elsewhere bf16 would be emulated, and slow. Weights, gradients and the
    optimizer stay float32 in either case.

    Args:
        precision: `auto`, or what to use.
        device: that trains.
    """
    if precision != "auto":
        return precision
    return "bf16" if _has_bf16(device) else "float32"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context that forward passes run in: bf16 autocast, or none for `float32`."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def peak_memory(model: nn.Module) -> int:
    """Peak memory so far, in bytes: of torch on the model's GPU, or of this process where the model is on a CPU."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
