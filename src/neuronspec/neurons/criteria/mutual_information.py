"""`MutualInformation`: the neurons whose firing tells the most about the group of directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.core.errors import RecipeError
from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    check_compared,
    check_statistic,
    compared,
    ranked,
    sum_of,
)
from neuronspec.neurons.criteria.shares import Shares, check_given, check_shares, leading
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Groups, Pool


@dataclass(frozen=True)
class MutualInformation(Criterion):
    """The neurons whose firing tells the most about the direction, and that fire more there than on average.

    This is the idea of CANEFT (Jiang et al., 2026, arXiv 2602.05694), not its method: there, neurons are scored by the
    mutual information of their importance (activation times gradient) with the domain. Here, A says whether neuron i
    fires at a position, and G is the group (a direction, language or family), one of n that are equally likely. With
    p[g, i] the share of positions at which the neuron fires in group g and m[i] the mean of p[g, i] over all groups,
    the mutual information of A and G is the sum over g of the parts KL(Bernoulli(p[g, i]) || Bernoulli(m[i])) / n. For
    each group and site, of the neurons with p[g, i] > m[i], the share `fraction` of the site's neurons with the largest
    part is selected (ties: lower index first). A direction may have fewer neurons at a site, or none.

    It reads counts alone. In a GELU, SiLU or gated FFN, "fires" means a value > 0, which says little about what the
    neuron does; `select_neurons` warns there. A mean |value| is no probability, so there is no form for magnitudes.

    Args:
        fraction: share in (0, 1] of the neurons of a site, rounded up; one number, or numbers by side and way, as the
            coverage of `CumulativeActivation`.
        statistic: `count`.
        pivot: the language in the middle; needed for keys with a way.

    Raises:
        RecipeError: an unknown key, another statistic, a fraction out of (0, 1], or a way without a pivot.

    Examples:
        >>> ns.select_neurons(acts, ns.MutualInformation(0.25)).sparsity() >= 0.75
        True
    """

    fraction: Shares = 0.3
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        if self.statistic != "count":
            raise RecipeError(
                "mutual_information reads how often a neuron fires, and a mean magnitude is no probability: use "
                "statistic: count (behind GELU, SiLU or a gate it counts values > 0), or criterion exclusive or lape"
            )
        check_shares("fraction", self.fraction, self.pivot)

    def check(self, groups: Groups) -> None:
        """See `Criterion.check`."""
        check_compared(groups, "mutual_information")
        check_given("fraction", self.fraction, self.pivot, groups)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            MaskError: there is one group alone, so firing tells nothing about it.
            RecipeError: no fraction is given for a side and direction.
        """
        orders = {site: _orders(compared(pool, site, "mutual_information")) for site in pool.values}
        return leading(pool, self.fraction, self.pivot, orders)


def _orders(rates: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By group, the neurons that fire more often than on average, the largest part of the information first."""
    import torch

    mean = sum_of(torch.stack(list(rates.values()))) / len(rates)
    orders = {}
    for group, rate in rates.items():
        order = ranked(parts_of(rate, mean))
        above = rate > mean * (1 + 1e-12)  # equal rates may differ from their mean by rounding
        orders[group] = order[above[order]]
    return orders


def parts_of(rate: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """KL(Bernoulli(rate) || Bernoulli(mean)) in nats; 0 * log(0) is 0. All `[width]`."""
    import torch

    tiny = torch.finfo(torch.float64).tiny
    fires = torch.special.xlogy(rate, rate / mean.clamp(min=tiny))
    silent = torch.special.xlogy(1 - rate, (1 - rate) / (1 - mean).clamp(min=tiny))
    return fires + silent
