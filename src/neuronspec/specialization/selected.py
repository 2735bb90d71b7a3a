"""The selected neurons of one site, as vectors on the device."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from neuronspec.core.errors import DirectionError

# Matrix products are fastest on multiples of these, so compact widths are padded to them. On a CPU it is the vector
# registers: in float32 a width of 1001 costs half more than one of 1008. A GPU computes tiles of 128 anyway.
ALIGNMENT = {"cuda": 128}
ALIGNMENT_ELSEWHERE = 16

# Without gradients the gathered weights are kept for the whole scope, so that any real saving pays.
MIN_SPARSITY = 0.02


class Selection:
    """One direction's selected neurons at one site.

    Args:
        mask: BoolTensor `[width]` on the CPU.
        device: where the vectors shall be.

    Attributes:
        given: the mask as it was given; a cache that knows selections by it must not find another in its place.
        mask: BoolTensor `[width]`.
        selected: LongTensor `[count]`, ascending.
        padded: `selected` followed by repetitions of its first neuron up to a multiple of the device's `ALIGNMENT`,
            unless that would reach the full width.
        full: whether every neuron is selected.
        sparsity: share of the width that a compact computation saves, in [0, 1).
        sparse: whether it pays to save that without gradients.
    """

    def __init__(self, mask: torch.Tensor, device: torch.device) -> None:
        selected = mask.nonzero().flatten()
        count = len(selected)
        alignment = ALIGNMENT.get(device.type, ALIGNMENT_ELSEWHERE)
        aligned = -(-count // alignment) * alignment
        padding = aligned - count if aligned < len(mask) else 0
        self.given = mask
        self.mask = mask.to(device)
        self.padded = torch.cat([selected, selected[:1].expand(padding)]).to(device)
        self.selected = selected.to(device)  # no view of padded: torch.compile fails on dynamic views
        self.full = count == len(mask)
        self.sparsity = 1 - len(self.padded) / len(mask)
        self.sparse = self.sparsity >= MIN_SPARSITY
        if "torch._dynamo" in sys.modules:
            for vector in (self.padded, self.selected):
                torch._dynamo.maybe_mark_dynamic(vector, 0)  # see scope._dynamic_widths

    def where(self, values: torch.Tensor, other: torch.Tensor | float) -> torch.Tensor:
        """`values` `[..., width]` at selected neurons, `other` elsewhere."""
        return torch.where(self.mask, values, other)


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
