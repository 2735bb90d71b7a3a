"""What the training sections of a recipe choose from by name."""

from __future__ import annotations

import inspect
from typing import Any

from neuronspec.core.registry import Registry

SCHEDULES: Registry[Any] = Registry(
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


OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    {
        "adamw": "neuronspec.training.optimizers:adamw",
        "adafactor": "neuronspec.training.optimizers:adafactor",
        "adamw_8bit": "neuronspec.training.optimizers:adamw_8bit",
    },
)
"""What updates the weights; see `neuronspec.training.optimizers`."""

TRACKERS: Registry[Any] = Registry(
    "tracker",
    {
        "tensorboard": "neuronspec.training.tracking:TensorBoard",
        "wandb": "neuronspec.training.tracking:WeightsAndBiases",
    },
)
"""Where training is logged beside `log.jsonl`; see `neuronspec.training.tracking`."""
