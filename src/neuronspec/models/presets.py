"""The shapes of models that a recipe can start from, and which shapes are possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuronspec.core.registry import Registry

_COMMON: dict[str, Any] = {
    "activation_function": "relu",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "max_position_embeddings": 512,
    "scale_embedding": True,
}

PRESETS: Registry[dict[str, Any]] = Registry(
    "preset",
    {
        # For a demonstration on two CPU cores: a few minutes see too little text to overfit, so no dropout.
        "tiny": _COMMON
        | {
            "d_model": 128,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_ffn_dim": 512,
            "decoder_ffn_dim": 512,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
        # mT-small of the paper (IWSLT).
        "small": _COMMON
        | {
            "d_model": 512,
            "encoder_layers": 6,
            "decoder_layers": 6,
            "encoder_ffn_dim": 1024,
            "decoder_ffn_dim": 1024,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
        },
        # mT-big of the paper (EC30).
        "big": _COMMON
        | {
            "d_model": 1024,
            "encoder_layers": 6,
            "decoder_layers": 6,
            "encoder_ffn_dim": 4096,
            "decoder_ffn_dim": 4096,
            "encoder_attention_heads": 16,
            "decoder_attention_heads": 16,
        },
    },
)
"""The shapes that a recipe can start from; any field can be set beside them."""


def shape_problem(fields: Mapping[str, Any]) -> str | None:
    """Why a model of these configuration fields can't be built, and how to mend it; None if it can."""
    d_model = fields["d_model"]
    for part in ("encoder", "decoder"):
        heads = fields[f"{part}_attention_heads"]
        if d_model % heads:
            return (
                f"model.d_model {d_model} can't be divided among model.{part}_attention_heads {heads}; "
                f"make d_model a multiple of the heads, such as {max(1, round(d_model / heads)) * heads}"
            )
    if d_model < 4:
        return f"model.d_model {d_model} is too small for sinusoidal positions; give at least 4"
    return None
