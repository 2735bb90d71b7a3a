"""The optimizer of a training: stepped along a learning-rate schedule, with its state as named tensors."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from neuronspec.core.errors import TrainingError
from neuronspec.training.optimizers import OPTIMIZERS
from neuronspec.training.parallel import like, whole
from neuronspec.training.schedules import SCHEDULES, needs_updates
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.trained import Part


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimizer that the settings name, with those of their numbers that it takes.

    Args:
        parameters: to train.
        settings: of the training.

    Raises:
        MissingExtraError: its package isn't installed.
    """
    make = OPTIMIZERS.get(settings.optimizer)
    _, *keys = inspect.signature(make).parameters
    made: torch.optim.Optimizer = make(parameters, **{key: getattr(settings, key) for key in keys})
    return made


def check_optimizer(settings: TrainingSettings) -> None:
    """Check that an optimizer's package is there, before the long work.

    Raises:
        MissingExtraError: it isn't.
    """
    make_optimizer([nn.Parameter(torch.zeros(1))], settings)


class Optimizer:
    """The optimizer of `settings` over the parameters of a model that need gradients, by name.

    Args:
        model: whose parameters are trained.
        settings: names the optimizer and the schedule, and gives their numbers.
        updates: of the whole training, for schedules that fall towards its end.
        parts: by name, the parts of the parameters that are trained in part. The optimizer knows these parts alone: it
            has no state for the rest of the parameter, which stays as it is to the bit.

    Raises:
        MissingExtraError: the optimizer's package isn't installed.
        TrainingError: nothing is trained.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        updates: int | None = None,
        parts: Mapping[str, Part] | None = None,
    ) -> None:
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        partly = {name: (trained[name], part) for name, part in (parts or {}).items() if name in trained}
        # A site may have no neuron that is trained.
        self._parts = {name: (whole_one, part) for name, (whole_one, part) in partly.items() if len(part.places)}
        self._unused = [whole_one for name, (whole_one, _) in partly.items() if name not in self._parts]
        own = {name: nn.Parameter(part.of(whole_one.detach())) for name, (whole_one, part) in self._parts.items()}
        self.parameters = {
            name: own.get(name, value) for name, value in trained.items() if name in own or name not in partly
        }
        if not self.parameters:
            raise TrainingError("nothing is trained: the masks select no neurons; select more, or train other weights")
        self._optimizer = make_optimizer(self.parameters.values(), settings)
        self._clip_norm = settings.clip_norm or math.inf
        known: dict[str, float | None] = {"peak": settings.learning_rate, "warmup": settings.warmup}
        if needs_updates(settings.schedule):
            known["updates"] = updates
        self._rate = partial(SCHEDULES.get(settings.schedule), **known)

    def clip(self, scale: float = 1.0) -> torch.Tensor:
        """Scale the gradient down to the settings' norm if it is longer; call it once, before `step`.

        Args:
            scale: that the loss was multiplied by, which the gradient is divided by before.

        Returns:
            Its norm before it is scaled down, on its device.
        """
        for name, (whole_one, part) in self._parts.items():
            own = self.parameters[name]
            own.data = part.of(whole_one.detach())
            own.grad = None if whole_one.grad is None else part.of(whole_one.grad)
            whole_one.grad = None
        if scale != 1:
            for parameter in self.parameters.values():
                if parameter.grad is not None:
                    parameter.grad.div_(scale)
        return whole(nn.utils.clip_grad_norm_(self.parameters.values(), self._clip_norm))

    def step(self, update: int) -> float:
        """Apply the gradient and clear it.

        Args:
            update: number of the update, from 1.

        Returns:
            The learning rate.
        """
        rate = self._rate(update)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        for name, (whole_one, part) in self._parts.items():
            part.put(whole_one.detach(), self.parameters[name].detach())
        self.clear()
        return rate

    def clear(self) -> None:
        """Discard the gradient."""
        self._optimizer.zero_grad(set_to_none=True)
        for whole_one in (*self._unused, *(whole_one for whole_one, _ in self._parts.values())):
            whole_one.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state as `NAME.KEY`, such as `NAME.exp_avg`; nothing for parameters without a step so far."""
        return {
            f"{name}.{key}": value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.int64)
            for name, parameter in self.parameters.items()
            for key, value in self._optimizer.state.get(parameter, {}).items()
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors()` gave.

        Args:
            tensors: full ones, by name.
        """
        states: dict[str, dict[str, Any]] = {}
        for full_name, value in tensors.items():
            name, _, key = full_name.rpartition(".")
            if name in self.parameters:  # not of one that is frozen now
                states.setdefault(name, {})[key] = _restored(value, self.parameters[name])
        state = {place: states[name] for place, name in enumerate(self.parameters) if name in states}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


def _restored(value: torch.Tensor, parameter: torch.Tensor) -> Any:
    """A number that was one before; and what has the form of a parameter is sharded as it is."""
    if value.dtype == torch.int64 and value.dim() == 0:
        return int(value)
    return like(value, parameter) if value.shape == parameter.shape else value
