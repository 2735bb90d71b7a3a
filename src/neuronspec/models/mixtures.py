"""Mixtures of experts: told by their configuration, before any weights are read. No torch here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAMES = re.compile(r"moe|mixtral|switch_transformers|dbrx")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_PARTS = ("text_config", "ffn_config", "decoder", "encoder")
"""Where configurations of several parts have that of their layers."""


def why_not_mixture(config: Mapping[str, Any]) -> str | None:
    """Why the neurons of a model can't be recorded or specialized, if it is a mixture of experts.

    Args:
        config: its config.json.

    Returns:
        The reason, with the model's type; None for models that aren't mixtures.
    """
    kind = str(config.get("model_type"))
    number = _experts(config)
    if not _NAMES.search(kind) and (number < 2 or config.get("is_moe") is False):
        return None
    experts = f", {number} experts to a layer" if number > 1 else ""
    return (
        f"model type {kind!r} has mixture-of-experts feed-forward layers{experts}: a neuron of an expert sees only the "
        "tokens that are routed to the expert, so how often it fires says nothing about a direction; use a dense model"
    )


def _experts(config: Mapping[str, Any]) -> int:
    """The largest number of experts that a configuration or a part of it names; 0 without any."""
    own = [number for name in _EXPERTS if isinstance(number := config.get(name), int)]
    parts = [_experts(part) for name in _PARTS if isinstance(part := config.get(name), Mapping)]
    return max([0, *own, *parts])
