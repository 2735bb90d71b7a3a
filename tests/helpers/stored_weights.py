"""The weights of a model's folder as they are stored."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from neuronspec.models.changed_weights import weight_files


def stored_weights(folder: Path) -> dict[str, torch.Tensor]:
    """By name, also those that are kept in the folder of the base."""
    return {name: value for path in weight_files(folder) for name, value in load_file(path).items()}
