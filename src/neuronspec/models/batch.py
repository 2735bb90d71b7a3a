"""Batches of sentence pairs: the unit of training, recording and validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from neuronspec.core.direction import Direction, DirectionLike, parse_task


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sentences of one direction, as keyword arguments of the model.

    Args:
        direction: `Direction` or `"en-de"`; a language, `"de"`, for text without a translation.
        inputs: for encoder-decoder models `input_ids` and `attention_mask` `[batch, source_time]`,
            `decoder_input_ids`, `decoder_attention_mask` and `labels` `[batch, target_time]` (-100 where
            no loss is taken); for decoder-only models `input_ids` and `attention_mask` `[batch, time]`.
    """

    direction: Direction
    inputs: Mapping[str, torch.Tensor]

    def __init__(self, direction: DirectionLike, inputs: Mapping[str, torch.Tensor]) -> None:
        object.__setattr__(self, "direction", parse_task(direction))
        object.__setattr__(self, "inputs", inputs)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        return replace(self, inputs=moved)

    def pinned(self) -> Batch:
        """The same batch in pinned memory, from which a GPU copies while it computes."""
        return replace(self, inputs={name: tensor.pin_memory() for name, tensor in self.inputs.items()})

    def rows(self, first: int, last: int | None) -> Batch:
        """The rows from `first` up to, but not including, `last`, as views."""
        return replace(self, inputs={name: tensor[first:last] for name, tensor in self.inputs.items()})


@dataclass(frozen=True, slots=True)
class MixedBatch(Batch):
    """A batch whose rows are of several directions.

    Args:
        direction: of the first row.
        inputs: as in `Batch`.
        row_directions: the direction of each row.
    """

    row_directions: tuple[Direction, ...] = ()

    def rows(self, first: int, last: int | None) -> MixedBatch:
        """The rows from `first` up to, but not including, `last`, as views."""
        part = Batch.rows(self, first, last)
        assert isinstance(part, MixedBatch)
        directions = self.row_directions[first:last]
        return replace(part, direction=directions[0], row_directions=directions)
