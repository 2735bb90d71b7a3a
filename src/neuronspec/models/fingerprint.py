"""Fingerprints that say whether two models have the same feed-forward neurons, or the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import nn

from neuronspec.models.dispatch import weights_present
from neuronspec.models.sites import FFNSite, find_ffn_sites, unwrap

SAMPLES = 4096


def model_fingerprint(model: nn.Module, sites: Sequence[FFNSite] | None = None) -> str:
    """A stable hash of a model's feed-forward layers: 32 hexadecimal digits.

    SHA-256 over the model type and, for each FFN site, its name, and for each parameter of its ups and down
    the name, the shape, and the values (as float32) of at most `SAMPLES` elements at even distances. So it is
    cheap for large models, the same on every device and after saving and loading, and another one after
    training; it says nothing about the parameters outside the FFNs.

    Args:
        model: a Hugging Face model or a wrapper of one.
        sites: the FFN sites to hash; all of the model's by default.

    Raises:
        ModelError: the model's FFN sites aren't known.
    """
    digest = hashlib.sha256(str(getattr(getattr(unwrap(model), "config", None), "model_type", "")).encode())
    for site in find_ffn_sites(model) if sites is None else sites:
        for part, layer in [*((f"up.{index}", up) for index, up in enumerate(site.ups)), ("down", site.down)]:
            with weights_present(layer):
                for name, parameter in sorted(layer.named_parameters()):
                    digest.update(f"\n{site.name} {part} {name} {tuple(parameter.shape)}\n".encode())
                    digest.update(_sample(parameter).numpy().tobytes())
    return digest.hexdigest()[:32]


def weights_fingerprint(model: nn.Module) -> str:
    """A hash of all parameters of a model, sampled as `model_fingerprint` does: 32 hexadecimal digits."""
    model = unwrap(model)
    digest = hashlib.sha256(str(getattr(getattr(model, "config", None), "model_type", "")).encode())
    for place, module in model.named_modules():
        with weights_present(module):
            for name, parameter in module.named_parameters(recurse=False):
                digest.update(f"\n{place} {name} {tuple(parameter.shape)}\n".encode())
                digest.update(_sample(parameter).numpy().tobytes())
    return digest.hexdigest()[:32]


def _sample(parameter: torch.Tensor) -> torch.Tensor:
    """At most `SAMPLES` elements as float32 `[n]` on the CPU."""
    values = parameter.detach()
    if hasattr(values, "full_tensor"):  # sharded by FSDP2
        values = values.full_tensor()
    values = values.reshape(-1)
    step = -(-len(values) // SAMPLES)
    return values[::step].to("cpu", torch.float32)
