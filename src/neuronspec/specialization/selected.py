"""The selected neurons of one site, as vectors on the device."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from neuronspec.core.errors import DirectionError

# Matrix products are fastest on multiples of this (vector registers, tensor cores), so compact widths are padded
# to it; in float32 on the CPU a width of 1001 costs half more than one of 1008.
ALIGNMENT = 16


class Selection:
    """One direction's selected neurons at one site.

    Args:
        mask: BoolTensor `[width]` on the CPU.
        device: where the vectors shall be.

    Attributes:
        mask: BoolTensor `[width]`.
        selected: LongTensor `[count]`, ascending.
        padded: `selected` followed by repetitions of its first neuron up to a multiple of `ALIGNMENT`, unless
            that would reach the full width.
        full: whether every neuron is selected.
    """

    def __init__(self, mask: torch.Tensor, device: torch.device) -> None:
        selected = mask.nonzero().flatten()
        count = len(selected)
        aligned = -(-count // ALIGNMENT) * ALIGNMENT
        padding = aligned - count if aligned < len(mask) else 0
        self.mask = mask.to(device)
        self.padded = torch.cat([selected, selected[:1].expand(padding)]).to(device)
        self.selected = selected.to(device)  # no view of padded: torch.compile fails on dynamic views
        self.full = count == len(mask)
        if "torch._dynamo" in sys.modules:
            for vector in (self.padded, self.selected):
                torch._dynamo.maybe_mark_dynamic(vector, 0)  # see scope._dynamic_widths

    def where(self, values: torch.Tensor, other: torch.Tensor | float) -> torch.Tensor:
        """`values` `[..., width]` at selected neurons, `other` elsewhere."""
        return torch.where(self.mask, values, other)

    @property
    def sparsity(self) -> float:
        """Share of the width that a compact computation saves, in [0, 1)."""
        return 1 - len(self.padded) / len(self.mask)


class RowSelections:
    """The selected neurons at one site for each of several directions, one per row of the batch.

    Args:
        selections: of the directions.
        label: the names of the directions, for messages.

    Attributes:
        masks: BoolTensor `[directions, width]`.
    """

    def __init__(self, selections: Sequence[Selection], label: str) -> None:
        self.label = label
        self.masks = torch.stack([selection.mask for selection in selections])

    def where(self, values: torch.Tensor, other: torch.Tensor | float) -> torch.Tensor:
        """`values` `[..., width]` at selected neurons of each row's direction, `other` elsewhere.

        Rows of a batch stay together when beams multiply them and when a model flattens `[rows, time]`, so with k
        directions each k-th part of the first dimension is one direction's.

        Raises:
            DirectionError: the number of rows isn't a multiple of the number of directions.
        """
        masks = self.masks
        if values.shape[0] % len(masks):
            raise DirectionError(
                f"a batch of {values.shape[0]} rows doesn't fit the {len(masks)} directions {self.label}: "
                "name one direction for each row"
            )
        by_direction = values.reshape(len(masks), -1, values.shape[-1])
        return torch.where(masks[:, None, :], by_direction, other).reshape(values.shape)
