"""What the training sections of a recipe choose from by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from neuronspec.core.registry import Registry

if TYPE_CHECKING:
    from neuronspec.training.optimizers import MakeOptimizer
    from neuronspec.training.tracking import Tracker

SCHEDULES: Registry[Callable[..., float]] = Registry(
    "schedule",
    {
        "inverse_sqrt": "neuronspec.training.schedules:inverse_sqrt",
        "linear": "neuronspec.training.schedules:linear",
        "cosine": "neuronspec.training.schedules:cosine",
        "constant": "neuronspec.training.schedules:constant",
    },
)
"""The learning rate over time; see `neuronspec.training.schedules`."""


def needs_updates(schedule: str) -> bool:
    """Whether a schedule has the argument `updates`: it depends on how many updates the whole training has.

    Args:
        schedule: its name in `SCHEDULES`.
    """
    return "updates" in inspect.signature(SCHEDULES.get(schedule)).parameters


OPTIMIZERS: Registry[MakeOptimizer] = Registry(
    "optimizer",
    {
        "adamw": "neuronspec.training.optimizers:adamw",
        "adafactor": "neuronspec.training.optimizers:adafactor",
        "adamw_8bit": "neuronspec.training.optimizers:adamw_8bit",
    },
)
"""What updates the weights; see `neuronspec.training.optimizers`."""

TRACKERS: Registry[type[Tracker]] = Registry(
    "tracker",
    {
        "tensorboard": "neuronspec.training.tracking:TensorBoard",
        "wandb": "neuronspec.training.tracking:WeightsAndBiases",
    },
)
"""Where training is logged beside `log.jsonl`; see `neuronspec.training.tracking`."""
