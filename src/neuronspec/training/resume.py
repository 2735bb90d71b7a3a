"""What may not change between the parts of a training that is stopped and resumed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.batching.stream import TrainingBatches
from neuronspec.core.errors import TrainingError
from neuronspec.core.settings import without_added
from neuronspec.training.checkpoint import model_tensors
from neuronspec.training.settings import TrainingSettings

_MAY_CHANGE = {
    "updates", "epochs", "minutes", "patience", "save_every", "keep_checkpoints", "average_checkpoints",
    "gradient_checkpointing", "compile", "parallel",
}  # fmt: skip
"""Settings that don't change what is learnt by a given update: the budget, what to keep, and in which way the
same function is computed (weights then differ by rounding, and by dropout's random numbers)."""


def may_change(settings: TrainingSettings) -> set[str]:
    """The settings that a resumed training may give other values.

    The budget isn't among them where the learning rate falls towards its end.
    """
    return _MAY_CHANGE - {"updates", "epochs"} if settings.ends_with_budget else _MAY_CHANGE


_INCIDENTAL = {"transformers_version", "dtype", "torch_dtype", "_name_or_path", "architectures", "use_cache"}


def what_matters(
    settings: TrainingSettings,
    model: PreTrainedModel,
    batches: TrainingBatches,
    seed: int,
    precision: str,
    micro_batches: int,
) -> dict[str, Any]:
    """Everything that the weights after a given update depend on, as plain JSON values.

    Args:
        settings: of the training.
        model: that training starts from; its weights count by their checksum.
        batches: of the training; the numbers of pairs and tokens count.
        seed: of data order and dropout.
        precision: as resolved.
        micro_batches: in an update, over all processes.
    """
    trained = without_added(settings, settings.model_dump(exclude={*may_change(settings), "accumulation", "seed"}))
    config = {key: value for key, value in model.config.to_dict().items() if key not in _INCIDENTAL}
    matters = {
        "seed": seed,
        "training": trained | {"precision": precision},
        "micro_batches": micro_batches,
        "data": {str(direction): list(sizes) for direction, sizes in batches.volume().items()},
        "model": config,
        "start": checksum(model),
    }
    return dict(json.loads(json.dumps(matters)))


def checksum(model: nn.Module) -> str:
    """CRC-32 of all weights."""
    value = 0
    for tensor in model_tensors(model).values():
        value = zlib.crc32(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any], where: object) -> None:
    """Compare what mattered when a checkpoint was made with what matters now.

    Raises:
        TrainingError: something changed; all changes are named.
    """
    lines = differences(before, now)
    if lines:
        raise TrainingError(
            f"training in {where} was started with other settings, so it can't be resumed:\n  "
            + "\n  ".join(lines)
            + "\nSet them back, or train in another folder. (The budget, and how often and what to save, may change.)"
        )


_WORDS = {
    "start": "the weights it starts from (checksum)",
    "micro_batches": "micro-batches per update (training.accumulation x processes)",
}


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """`training.warmup: 100 before, 200 now` for every value that differs."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return [
            line
            for key in sorted({*before, *now})
            for line in differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    if before == now:
        return []
    shown = ("absent" if value is None else json.dumps(value) for value in (before, now))
    return ["{}: {} before, {} now".format(_WORDS.get(path, path), *shown)]
