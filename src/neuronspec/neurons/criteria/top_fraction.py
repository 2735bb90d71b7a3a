"""`TopFraction`: the same share of every site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.criterion import Criterion, Selected, check_statistic, ranked
from neuronspec.neurons.criteria.shares import Shares, check_given, check_shares, leading
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    from neuronspec.neurons.pooling import Groups, Pool


@dataclass(frozen=True)
class TopFraction(Criterion):
    """The same share of neurons at every site: those with the highest statistic (ties: lower index first).

    Args:
        fraction: share in (0, 1]; the number of neurons is rounded up, so there is at least one. One number, or numbers
            by side and way, as the coverage of `CumulativeActivation`.
        statistic: `count` (positive activations) or `magnitude` (sum of |value|; for gated FFNs).
        pivot: the language in the middle; needed for keys with a way.

    Raises:
        RecipeError: an unknown key or statistic, a fraction out of (0, 1], or a way without a pivot.

    Examples:
        >>> round(ns.select_neurons(acts, ns.TopFraction(0.25)).sparsity(), 2)
        0.75
    """

    fraction: Shares
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        check_shares("fraction", self.fraction, self.pivot)

    def check(self, groups: Groups) -> None:
        """See `Criterion.check`."""
        check_given("fraction", self.fraction, self.pivot, groups)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            RecipeError: no fraction is given for a side and direction.
        """
        orders = {
            site: {group: ranked(values) for group, values in by_group.items()}
            for site, by_group in pool.values.items()
        }
        return leading(pool, self.fraction, self.pivot, orders)
