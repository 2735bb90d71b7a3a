"""`Exclusive`: the neurons that fire more for a group of directions than for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    check_compared,
    check_share,
    check_statistic,
    compared,
    ranked,
    rounded_up,
    sum_of,
)
from neuronspec.neurons.criteria.shares import Shares, check_given, check_shares, leading
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Groups, Pool


@dataclass(frozen=True)
class Exclusive(Criterion):
    """The neurons that fire most often for a direction, relative to the other directions.

    r[g, i] is the share of positions at which neuron i of a site fires in group g (a direction, language or family).
    For each group and site, the neurons are ranked by r[g, i] divided by the mean of r[h, i] over the other groups h:
    a neuron that fires in g alone comes first, one that doesn't fire in g last (ties: lower index first). The
    candidates are the neurons with r[g, i] at or above the `quantile` of the group's own r at the site, since a neuron
    that hardly fires says nothing; those below it follow after all candidates, in the same order. The share `fraction`
    of the site's neurons that comes first is selected.

    Args:
        fraction: share in (0, 1]; the number of neurons is rounded up, so there is at least one. One number, or numbers
            by side and way, as the coverage of `CumulativeActivation`.
        quantile: of the group's own rates, in (0, 1]; the value whose rank, rounded up, is this share of the neurons.
        statistic: `count`, or `magnitude`: r is then the mean |value|.
        pivot: the language in the middle; needed for keys with a way.

    Raises:
        RecipeError: an unknown key or statistic, a share out of (0, 1], or a way without a pivot.

    Examples:
        >>> round(ns.select_neurons(acts, ns.Exclusive(0.25)).sparsity(), 2)
        0.75
    """

    fraction: Shares = 0.3
    quantile: float = 0.5
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        check_shares("fraction", self.fraction, self.pivot)
        check_share("quantile", self.quantile)

    def check(self, groups: Groups) -> None:
        """See `Criterion.check`."""
        check_compared(groups, "exclusive")
        check_given("fraction", self.fraction, self.pivot, groups)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            MaskError: there is one group alone, so there are no others.
            RecipeError: no fraction is given for a side and direction.
        """
        orders = {site: self._orders(compared(pool, site, "exclusive"), pool.values[site]) for site in pool.values}
        return leading(pool, self.fraction, self.pivot, orders)

    def _orders(self, rates: dict[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        import torch

        # r / (sum of all r) orders neurons as r / (mean of the other r) does, and is finite
        total = sum_of(torch.stack(list(rates.values()))).clamp(min=torch.finfo(torch.float64).tiny)
        orders = {}
        for group, rate in rates.items():
            bar = values[group].kthvalue(rounded_up(self.quantile, len(rate))).values
            order = ranked(rate / total)
            candidate = (values[group] >= bar)[order]
            orders[group] = torch.cat([order[candidate], order[~candidate]])
        return orders
