"""The selected neurons of one site, as vectors on the device."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

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

    @property
    def sparsity(self) -> float:
        """Share of the width that a compact computation saves, in [0, 1)."""
        return 1 - len(self.padded) / len(self.mask)


class RowSelections:
    """The selected neurons at one site for each of several directions, one a row of the batch.

    Attributes:
        masks: BoolTensor `[directions, width]`.
    """

    def __init__(self, selections: Sequence[Selection]) -> None:
        self.masks = torch.stack([selection.mask for selection in selections])
