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

UPDATES = 8
SEEN: set[torch.dtype] = set()
"""Types in which the weight of a layer was there in forward passes of `NARROW`."""
KINDS = {
    "dense-ddp": {},
    "dense-fsdp": {"parallel": "fsdp"},
    "specialized-ddp": {},
    "specialized-fsdp": {"parallel": "fsdp"},
    "mixed-ddp": {"mix_directions": True},
    "dense-layerdrop-ddp": {},
}


NARROW = {"dense-bf16": {}, "specialized-bf16": {}}
"""In float32 with autocast to bf16, by FSDP2, which gathers in bf16; in one process as ever."""


def train_kind(folder: Path, kind: str, updates: int, accumulation: int) -> TrainingResult:
    """Train one of `KINDS` in float64, or of `NARROW` in float32, with dropout."""
    narrow = kind in NARROW
    model = toy_model(dtype=torch.float32 if narrow else torch.float64)
    settings: dict[str, Any] = {"accumulation": accumulation, "save_every": UPDATES // 2, **(KINDS | NARROW)[kind]}
    if narrow:
        settings |= {"precision": "bf16", "parallel": "fsdp"}
        model.model.encoder.layers[0].fc1.register_forward_pre_hook(_see)
    if "layerdrop" in kind:
        model.config.encoder_layerdrop = model.model.encoder.layerdrop = 0.3
        model.config.decoder_layerdrop = model.model.decoder.layerdrop = 0.3
    if kind.startswith("dense"):
        return toy_train(folder, updates, model=model, **settings)
    specialize(model, random_masks(model, tuple(map(str, SIZES))))

    def scope(given: Direction | tuple[Direction, ...]) -> Any:
        return (use_direction if isinstance(given, Direction) else use_directions)(model, given)

    return toy_train(folder, updates, model=model, in_direction=scope, **settings)


def _see(layer: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
    SEEN.add(layer.weight.dtype)
