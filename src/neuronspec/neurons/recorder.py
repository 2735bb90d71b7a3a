"""Counting neuron activations inside forward passes, on the device, without waiting for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from neuronspec.direction import Direction
from neuronspec.errors import MaskError
from neuronspec.model.sites import FFNSite
from neuronspec.neurons.padding import side_of


class Recorder:
    """Sums over the counted positions of all forward passes: one count and one magnitude a neuron and direction.

    Every tensor stays on the device where the neurons are; nothing is read back before `totals`.
    """

    def __init__(self, sites: Sequence[FFNSite]) -> None:
        self._sites = list(sites)
        self._sums: dict[Direction, dict[str, tuple[torch.Tensor, torch.Tensor]]] = {}
        self._tokens: dict[Direction, dict[str, torch.Tensor]] = {}
        self._direction: Direction | None = None
        self._positions: Mapping[str, torch.Tensor] = {}

    def start(self, direction: Direction, positions: Mapping[str, torch.Tensor]) -> None:
        """Say what the next forward pass reads: its direction, and by side the positions that count `[batch, time]`."""
        self._direction, self._positions = direction, positions
        self._sums.setdefault(direction, {})
        tokens = self._tokens.setdefault(direction, {})
        for side, counted in positions.items():
            tokens[side] = tokens[side] + counted.sum() if side in tokens else counted.sum()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Count what goes into each site's `down` during the block."""
        with ExitStack() as stack:
            for site in self._sites:
                handle = site.down.register_forward_pre_hook(partial(self._count, site))
                stack.callback(handle.remove)
            yield

    def totals(self, directions: Sequence[Direction]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Counts `[directions, neurons]` (int64), magnitudes `[directions, neurons]` (float64) and tokens
        `[directions, sites]` (int64) with the neurons of all sites side by side; zeros where nothing was seen.

        Raises:
            MaskError: forward passes ran and a site took no part in them.
        """
        weight = self._sites[0].down.weight
        assert isinstance(weight, torch.Tensor)
        device = weight.device
        counts = torch.zeros(len(directions), sum(site.width for site in self._sites), dtype=torch.int64)
        counts, magnitudes = counts.to(device), counts.to(device, torch.float64)
        tokens = torch.zeros(len(directions), len(self._sites), dtype=torch.int64, device=device)
        for row, direction in enumerate(directions):
            sums, start = self._sums.get(direction), 0
            if sums is None:
                continue
            for column, site in enumerate(self._sites):
                if site.name not in sums:
                    raise MaskError(
                        f"{site.name} took no part in the forward passes of {direction}: wrong sites for this model?"
                    )
                neurons = slice(start, start + site.width)
                counts[row, neurons], magnitudes[row, neurons] = sums[site.name]
                tokens[row, column] = self._tokens[direction][side_of(site.name)]
                start += site.width
        return counts, magnitudes, tokens

    @property
    def directions(self) -> list[Direction]:
        """The directions seen so far, sorted."""
        return sorted(self._sums)

    def _count(self, site: FFNSite, down: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert self._direction is not None
        values = inputs[0].detach().reshape(-1, site.width)
        counted = self._positions[side_of(site.name)].to(values.device).reshape(-1)
        if len(values) != len(counted):
            raise MaskError(
                f"{site.name}: {len(values)} positions reached the FFN where the batch of {self._direction} has "
                f"{len(counted)}; models that drop or chunk positions before the FFN can't be recorded"
            )
        counts, magnitudes = _column_sums(values, counted)
        sums = self._sums[self._direction]
        if site.name not in sums:
            sums[site.name] = (torch.zeros_like(counts), torch.zeros_like(magnitudes))
        sums[site.name][0].add_(counts)
        sums[site.name][1].add_(magnitudes)


def _column_sums(values: torch.Tensor, counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the counted rows of `values` `[positions, neurons]`: the number > 0 (int64), and the sum of |value| (float64).

    Uncounted rows are taken out, not multiplied by zero: a padding position may hold NaN. One buffer of floats
    serves both sums, as sums of floats are many times faster than sums of booleans; ones add up exactly in
    float32 to 16 million positions a forward pass.
    """
    # Selecting rows makes the CPU wait for an accelerator to learn how many there are; there, zero the others.
    on_cpu = values.device.type == "cpu"
    values = values[counted] if on_cpu else torch.where(counted[:, None], values, 0)
    buffer = torch.empty(values.shape, dtype=torch.promote_types(values.dtype, torch.float32), device=values.device)
    counts = torch.gt(values, 0, out=buffer).sum(0).to(torch.int64)
    magnitudes = buffer.copy_(values).abs_().sum(0).to(torch.float64)
    return counts, magnitudes
