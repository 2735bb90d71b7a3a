"""Models that accelerate has spread over devices: some weights lie in main memory or on disk until they are needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def is_dispatched(model: nn.Module) -> bool:
    """Whether the parts of a model are on several devices, between which accelerate moves what they compute."""
    return len(set(getattr(model, "hf_device_map", {}).values())) > 1


def weights_present(layer: nn.Module) -> AbstractContextManager[None]:
    """During the block, the weights of a layer are on a device; nothing happens where they are always."""
    hook = getattr(layer, "_hf_hook", None)
    if not getattr(hook, "offload", False):
        return nullcontext()
    from accelerate.utils import align_module_device

    return align_module_device(layer)


def device_of(module: nn.Module) -> torch.device:
    """The device that a model or a layer computes on: that of its first weights that are on any."""
    found = (parameter.device for parameter in module.parameters() if parameter.device.type != "meta")
    device = next(found, None)
    if device is None:
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return torch.device("cpu" if device is None else device)
