"""Adam, its learning rate over time, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from neuronspec.training.parallel import like, whole
from neuronspec.training.settings import TrainingSettings

_STATE = ("step", "exp_avg", "exp_avg_sq")


def learning_rate(update: int, peak: float, warmup: int) -> float:
    """The rate of update number `update`, counted from 1: linear to `peak` over `warmup` updates, then falling with
    the inverse square root of the update (Vaswani et al., 2017, section 5.3; fairseq's `inverse_sqrt`)."""
    return peak * min(update / warmup, (warmup / update) ** 0.5)


class Adam:
    """Adam over the parameters of a model that need gradients, by name; decoupled weight decay on all of them."""

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._settings = settings
        self._adam = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            betas=settings.adam_betas,
            eps=settings.adam_epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def clip(self) -> float:
        """Scale the gradient down to the settings' norm if it is longer; returns its norm before that."""
        return float(whole(nn.utils.clip_grad_norm_(self.parameters.values(), self._settings.clip_norm)))

    def step(self, update: int) -> float:
        """Apply the gradient as update number `update` (from 1) and clear it; returns the learning rate."""
        rate = learning_rate(update, self._settings.learning_rate, self._settings.warmup)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self.clear()
        return rate

    def clear(self) -> None:
        """Forget the gradient."""
        self._adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state as `NAME.step`, `NAME.exp_avg`, `NAME.exp_avg_sq`; nothing for parameters not stepped yet."""
        return {
            f"{name}.{key}": self._adam.state[parameter][key]
            for name, parameter in self.parameters.items()
            if parameter in self._adam.state
            for key in _STATE
        }

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take back what `tensors()` gave."""
        for name, parameter in self.parameters.items():
            if f"{name}.step" in tensors:
                saved = {key: tensors[f"{name}.{key}"] for key in _STATE}
                moments = {key: value if value.dim() == 0 else like(value, parameter) for key, value in saved.items()}
                self._adam.state[parameter] = moments
