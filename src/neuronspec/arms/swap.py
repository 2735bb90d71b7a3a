"""Computing with other weights for a while: those of a direction's own model, or the shared ones under masks.

A parameter stays the same object, with the same name, gradient and optimizer state; only the tensor that it holds is
another one inside of the context. So a forward and backward pass inside adds its gradient to the gradients of passes
in other contexts, and the optimizer steps the shared weights outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import nn

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError


@contextmanager
def swapped(model: nn.Module, values: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Compute with other values of some parameters; afterwards each holds its own again, whatever happened inside.

    Args:
        model: whose parameters aren't sharded (FSDP2).
        values: by name of the parameter, a tensor of its shape; used as it is where device and dtype are the same.

    Raises:
        ModelError: the model has no such parameter, or one of another shape.
    """
    parameters = {name: _parameter(model, name, value) for name, value in values.items()}
    own = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = values[name].detach().to(parameter.device, parameter.dtype)
        torch.clear_autocast_cache()  # of parameters cast to bf16, which it knows by the parameter
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
        torch.clear_autocast_cache()


@contextmanager
def masked(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Compute with some parameters multiplied by masks; what a backward pass inside adds to their gradient is too.

    Args:
        model: as for `swapped`.
        masks: by name of the parameter, a BoolTensor of its shape on its device.

    Raises:
        ModelError: the model has no such parameter, or one of another shape.
    """
    with ExitStack() as stack:
        values = {}
        for name, mask in masks.items():
            parameter = _parameter(model, name, mask)
            values[name] = parameter.detach() * mask
            if parameter.requires_grad and torch.is_grad_enabled():
                stack.callback(parameter.register_hook(mask.mul).remove)  # before it is added to the gradient so far
        stack.enter_context(swapped(model, values))
        yield


def _parameter(model: nn.Module, name: str, value: torch.Tensor) -> nn.Parameter:
    try:
        parameter = model.get_parameter(name)
    except AttributeError:
        raise ModelError(
            f"{type(model).__name__} has no parameter {name!r}: the weights are of another model"
        ) from None
    if parameter.shape != value.shape:
        raise ModelError(
            f"the parameter {name} is {list(parameter.shape)}, its new value {list(value.shape)}: the weights are of "
            "another model"
        )
    return parameter


def one_direction(asked: Direction | Sequence[Direction]) -> Direction:
    """The direction of a batch.

    Raises:
        DirectionError: its rows have directions of their own.
    """
    if isinstance(asked, Direction):
        return asked
    raise DirectionError(
        "a batch mixes directions, but this arm has other weights in each and computes one at a time: set "
        "continuation.mix_directions to false"
    )
