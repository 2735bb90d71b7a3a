"""How much memory a training took."""

from __future__ import annotations

import sys

import torch
from torch import nn


def peak_memory(model: nn.Module) -> int:
    """The most bytes so far: on a GPU what torch held there, on a CPU what the process held in memory."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
