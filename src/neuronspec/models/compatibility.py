"""What supported versions of transformers call by different names."""

from __future__ import annotations

from transformers import PreTrainedModel


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
