"""Gradient checkpointing: what is computed again in the backward pass is computed in the direction of its forward.

The backward pass may run after the `use_direction` block has ended, in another direction's block, or (on GPUs)
in another thread. So the functions that do the checkpointing are wrapped to remember the direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from neuronspec.specialization.model_state import Specialization, specialization_of

Function = TypeVar("Function", bound=Callable[..., Any])

# Where Hugging Face's layers and torch's CheckpointWrapper keep the function that does the checkpointing.
_ATTRIBUTES = ("_gradient_checkpointing_func", "checkpoint_fn")


class _Keeper:
    """A checkpointing function that remembers the direction."""

    def __init__(self, state: Specialization, checkpoint: Callable[..., Any]) -> None:
        self.state = state
        self.checkpoint = checkpoint

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # the direction is part of what is compiled
            return self.checkpoint(function, *args, **kwargs)
        return self.checkpoint(self.state.bound(function), *args, **kwargs)


def keeping_direction(model: nn.Module, function: Function) -> Function:
    """`function`, to be called at any time with the direction that `model` computes now.

    Only for checkpointing of your own: `checkpoint(keeping_direction(model, layer), x)`. What
    `model.activation_checkpointing_enable()` and torch's `checkpoint_wrapper` checkpoint is taken care of.

    Raises:
        ModelError: the model isn't specialized.
    """
    return specialization_of(model).bound(function)  # type: ignore[return-value]


def keep_directions(model: nn.Module, state: Specialization) -> None:
    """Wrap the checkpointing functions of the model's layers; done at the beginning of each scope."""
    for module in model.modules():
        for name in _ATTRIBUTES:
            checkpoint = vars(module).get(name)
            if checkpoint is not None and not isinstance(checkpoint, _Keeper):
                vars(module)[name] = _Keeper(state, checkpoint)


def release_directions(model: nn.Module) -> None:
    """Undo `keep_directions`."""
    for module in model.modules():
        for name in _ATTRIBUTES:
            checkpoint = vars(module).get(name)
            if isinstance(checkpoint, _Keeper):
                vars(module)[name] = checkpoint.checkpoint
