"""Toy trainings that are the same in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from neuronspec.core.direction import Direction
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.training.progress_state import TrainingResult
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import toy_model
from tests.helpers.toy_training import SIZES, toy_train

UPDATES = 20
KINDS = {
    "dense-ddp": {},
    "dense-fsdp": {"parallel": "fsdp"},
    "specialized-ddp": {},
    "specialized-fsdp": {"parallel": "fsdp"},
    "mixed-ddp": {"mix_directions": True},
}


def train_kind(folder: Path, kind: str, updates: int, accumulation: int) -> TrainingResult:
    """Train one of `KINDS` in float64, with dropout."""
    model = toy_model(dtype=torch.float64)
    settings: dict[str, Any] = {"accumulation": accumulation, "save_every": 10, **KINDS[kind]}
    if kind.startswith("dense"):
        return toy_train(folder, updates, model=model, **settings)
    specialize(model, random_masks(model, tuple(map(str, SIZES))))

    def scope(given: Direction | tuple[Direction, ...]) -> Any:
        return (use_direction if isinstance(given, Direction) else use_directions)(model, given)

    return toy_train(folder, updates, model=model, in_direction=scope, **settings)
