"""Where the supported versions of transformers differ: names, and models that some of them compute wrongly."""

from __future__ import annotations

import transformers
from packaging.version import Version
from transformers import PreTrainedConfig, PreTrainedModel


def checkpoint_activations(model: PreTrainedModel, on: bool, *, reentrant: bool = False) -> None:
    """Switch activation checkpointing of a model's layers on or off.

    The methods were called `gradient_checkpointing_*` before transformers 5.23, where those names still exist but warn.

    Args:
        model: one that supports it.
        on: whether layers keep their input alone and are computed again in the backward pass.
        reentrant: as torch's `checkpoint` has it (`use_reentrant`).
    """
    kind = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"
    if on:
        getattr(model, f"{kind}_checkpointing_enable")({"use_reentrant": reentrant})
    else:
        getattr(model, f"{kind}_checkpointing_disable")()


def checkpoints_activations(model: PreTrainedModel) -> bool:
    """Whether layers of a model are computed again in the backward pass."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def cache_argument() -> str:
    """What models and `generate` call the cache of keys and values: `past_key_values` before transformers 5.24."""
    return "cache" if Version(transformers.__version__) >= Version("5.24") else "past_key_values"


def has_sdpa(model: PreTrainedModel) -> bool:
    """Whether scaled dot-product attention computes what the model's configuration says.

    It knows no soft cap of the scores. In transformers 5.17 Gemma 2 claims to have it all the same, and loses its caps.
    """
    return model._supports_sdpa and getattr(model.config, "attn_logit_softcapping", None) is None


def why_not_computed(config: PreTrainedConfig) -> str | None:
    """Why the installed transformers computes a model wrongly, and what to do; None where it doesn't.

    Before 5.18 the decoder of UMT5 isn't told that it is causal: where no text of a batch is padded, it sees the tokens
    that it is to predict.
    """
    if config.model_type == "umt5" and Version(transformers.__version__) < Version("5.18"):
        return (
            f"in transformers {transformers.__version__} the decoder of UMT5 sees the tokens that it is to predict; "
            "install transformers 5.18 or later"
        )
    return None
