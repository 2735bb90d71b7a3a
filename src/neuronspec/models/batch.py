"""Batches of sentence pairs: the unit of training, recording and validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch

from neuronspec.core.direction import Direction, DirectionLike, parse_task
from neuronspec.models.packed import Packing


@dataclass(frozen=True, slots=True)
class Ready:
    """What a loss needs to know of a batch, found on the CPU: asked of tensors on a GPU, each answer is a wait for it.

    Args:
        positions: LongTensor `[targets]`, where loss is taken, as indices into `[batch * time]` of the labels.
        pieces: LongTensor `[targets]`, what is to be given there.
        source_padded: whether any source is padded.
        packing: where real tokens are, for models with an encoder.
    """

    positions: torch.Tensor
    pieces: torch.Tensor
    source_padded: bool
    packing: Packing | None = None

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Ready:
        """The same with its tensors changed."""
        packing = self.packing and self.packing.each(change)
        return replace(self, positions=change(self.positions), pieces=change(self.pieces), packing=packing)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sentences of one direction, as keyword arguments of the model.

    Args:
        direction: `Direction` or `"en-de"`; a language, `"de"`, for text without a translation.
        inputs: for encoder-decoder models `input_ids` and `attention_mask` `[batch, source_time]`,
            `decoder_input_ids`, `decoder_attention_mask` and `labels` `[batch, target_time]` (-100 where
            no loss is taken); for decoder-only models `input_ids` and `attention_mask` `[batch, time]`.
        ready: what is known of the labels and masks beforehand; found when it is needed where it isn't given.
    """

    direction: Direction
    inputs: Mapping[str, torch.Tensor]
    ready: Ready | None = field(default=None, repr=False, compare=False)

    def __init__(
        self, direction: DirectionLike, inputs: Mapping[str, torch.Tensor], ready: Ready | None = None
    ) -> None:
        object.__setattr__(self, "direction", parse_task(direction))
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "ready", ready)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """The same batch in pinned memory, from which a GPU copies while it computes."""
        return self._each(torch.Tensor.pin_memory)

    def rows(self, first: int, last: int | None) -> Batch:
        """The rows from `first` up to, but not including, `last`, as views."""
        return replace(self, inputs={name: tensor[first:last] for name, tensor in self.inputs.items()}, ready=None)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        inputs = {name: change(tensor) for name, tensor in self.inputs.items()}
        return replace(self, inputs=inputs, ready=self.ready and self.ready.each(change))


@dataclass(frozen=True, slots=True)
class MixedBatch(Batch):
    """A batch whose rows are of several directions.

    Args:
        direction: of the first row.
        inputs, ready: as in `Batch`.
        row_directions: the direction of each row.
    """

    row_directions: tuple[Direction, ...] = ()

    def rows(self, first: int, last: int | None) -> MixedBatch:
        """The rows from `first` up to, but not including, `last`, as views."""
        part = Batch.rows(self, first, last)
        assert isinstance(part, MixedBatch)
        directions = self.row_directions[first:last]
        return replace(part, direction=directions[0], row_directions=directions)
