"""A training that takes a moment, for the tests of the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from neuronspec.core.direction import Direction
from neuronspec.core.progress import SILENT, Progress
from neuronspec.training.progress_state import TrainingResult
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.tracking import Tracking
from neuronspec.training.train import train
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, ToyStore, toy_model, toy_tokenizer

SIZES = {EN_DE: 40, DE_EN: 15, EN_FR: 8}
SETTINGS: dict[str, Any] = {
    "batch_tokens": 60,
    "accumulation": 2,
    "learning_rate": 0.01,
    "warmup": 5,
    "precision": "float32",
    "validate_every": 4,
    "save_every": 3,
    "validation_sentences": 4,
}


def quiet() -> Console:
    return Console(quiet=True)


def toy_train(
    folder: Path,
    updates: int = 12,
    *,
    store: ToyStore | None = None,
    model: torch.nn.Module | None = None,
    seed: int = 1,
    directions: list[Direction] | None = None,
    in_direction: Callable[[Direction], AbstractContextManager[Any]] = lambda direction: nullcontext(),
    progress: Progress = SILENT,
    tracking: Tracking | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a fresh toy model (with dropout) in `folder`, or go on."""
    budget = {} if {"epochs", "minutes"} & settings.keys() else {"updates": updates}
    return train(
        model or toy_model(),
        toy_tokenizer(),
        store or ToyStore(SIZES),
        TrainingSettings(**SETTINGS | budget | settings),
        directions=directions or list(SIZES),
        seed=seed,
        folder=folder,
        in_direction=in_direction,
        progress=progress,
        tracking=tracking,
    )


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Weights and Adam's moments of the newest checkpoint, and the exported weights."""
    newest = max((folder / "checkpoints").glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    tensors = load_file(newest / "model.safetensors") | load_file(newest / "optimizer.safetensors")
    exported = stored_weights(folder)
    return tensors | {f"exported {name}": tensor for name, tensor in exported.items()}


def assert_same(found: Path, expected: Path, fewest: int = 50) -> None:
    """Both folders hold the same weights, to the bit."""
    one, other = last_weights(found), last_weights(expected)
    assert one.keys() == other.keys()
    assert len(one) > fewest
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
