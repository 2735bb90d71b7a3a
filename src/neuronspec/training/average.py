"""The mean of the weights of several checkpoints (Vaswani et al., 2017, section 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from neuronspec.training import checkpoint


@torch.no_grad()
def average_checkpoints(model: nn.Module, folders: Sequence[Path]) -> None:
    """Give `model` the mean of the weights in checkpoint folders, summed in float64.

    Raises:
        DamagedCheckpoint: a file is damaged, or its names or shapes aren't the model's.
    """
    sums: dict[str, torch.Tensor] = {}
    for folder in folders:
        for name, value in checkpoint.read_model(model, folder / checkpoint.MODEL).items():
            sums[name] = sums[name] + value.double() if name in sums else value.double()
    checkpoint.fill_model(model, {name: value / len(folders) for name, value in sums.items()})
