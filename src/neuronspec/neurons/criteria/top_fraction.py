"""`TopFraction`: the same share of every site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    by_direction,
    check_share,
    check_statistic,
    first_of,
    ranked,
    rounded_up,
)
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Pool


@dataclass(frozen=True)
class TopFraction(Criterion):
    """The same share of neurons at every site: those with the highest statistic (ties: lower index first).

    Args:
        fraction: share in (0, 1]; the number of neurons is rounded up, so there is at least one.
        statistic: `count` (positive activations) or `magnitude` (sum of |value|; for gated FFNs).

    Raises:
        RecipeError: an unknown statistic, or a fraction out of (0, 1].

    Example:
        >>> round(ns.select_neurons(acts, ns.TopFraction(0.25)).sparsity(), 2)
        0.75
    """

    fraction: float
    statistic: Statistic = "count"

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        check_share("fraction", self.fraction)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`."""
        masks = {
            site: {group: self._top(values) for group, values in by_group.items()}
            for site, by_group in pool.values.items()
        }
        return by_direction(pool, masks)

    def _top(self, values: torch.Tensor) -> torch.Tensor:
        return first_of(ranked(values), rounded_up(self.fraction, len(values)))
