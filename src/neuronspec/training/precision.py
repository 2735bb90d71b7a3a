"""Which arithmetic a machine trains in, and how much memory that takes."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.core.errors import TrainingError

_CLEAR_PEAK, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def resolve_precision(precision: str, model: PreTrainedModel) -> str:
    """What the recipe says; for `auto`, bf16 where weights are or the device multiplies it in hardware, else float32.

    On a CPU that is AVX-512 BF16 or AMX; elsewhere bf16 would be emulated, and slow. Weights that are trained,
    gradients and the optimizer stay float32 in either case.

    Args:
        precision: `auto`, or what to use.
        model: as it is trained, on the device that trains it.

    Raises:
        TrainingError: `float32` or `fp16`, and frozen weights are held in bf16.
    """
    held = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
    if held and precision in ("float32", "fp16"):
        raise TrainingError(
            f"precision is {precision}, but weights that aren't trained are held in bfloat16: set precision to auto or "
            "bf16, or model.dtype to float32"
        )
    if precision != "auto":
        return precision
    return "bf16" if held or _has_bf16(model.device) else "float32"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context that forward passes run in: autocast to bf16 or fp16, or none for `float32`."""
    narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return nullcontext() if narrow is None else torch.autocast(device.type, narrow)


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure the peak of memory anew; on a CPU this works on Linux alone."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _CLEAR_PEAK.write_text("5", encoding="ascii")  # see proc_pid_clear_refs(5)


def peak_memory(model: nn.Module) -> int:
    """Peak memory in bytes since `reset_peak_memory`: of torch on the model's GPU, or of this process on a CPU.

    Where the system can't reset a process's peak, it is the peak since the process began.
    """
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
