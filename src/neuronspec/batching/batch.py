"""A batch of one direction: the unit that is trained on, recorded and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from neuronspec.direction import Direction


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sentences of one direction, as keyword arguments of the model.

    Args:
        direction: `Direction` or `"en-de"`.
        inputs: for encoder-decoder models `input_ids` and `attention_mask` `[batch, source_time]`,
            `decoder_input_ids`, `decoder_attention_mask` and `labels` `[batch, target_time]` (-100 where
            no loss is taken); for decoder-only models `input_ids` and `attention_mask` `[batch, time]`.
    """

    direction: Direction
    inputs: Mapping[str, torch.Tensor]

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", Direction.parse(self.direction))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        return Batch(
            self.direction, {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        )
