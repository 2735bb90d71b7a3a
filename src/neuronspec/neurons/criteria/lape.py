"""`LAPE`: the neurons that few languages use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.core.errors import RecipeError
from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    by_direction,
    check_compared,
    check_share,
    check_statistic,
    compared,
    first_of,
    rounded_up,
)
from neuronspec.neurons.criteria.shares import Shares, check_shares
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Groups, Pool


@dataclass(frozen=True)
class LAPE(Criterion):
    """Language activation probability entropy: the neurons that few groups of directions use.

    Tang et al., 2024, "Language-Specific Neurons" (arXiv 2402.16438), with the bar of the published code.

    p[g, i] is the share of positions at which neuron i is positive in group g (a language, a family or a
    direction). The entropy of p[:, i] / sum(p[:, i]) is low where few groups use the neuron. Of the neurons
    whose p exceeds, in some group, the `quantile` of all p, the share `fraction` of all neurons with the lowest
    entropy is selected; each belongs to the groups in which its p exceeds that bar. Encoder and decoder are
    ranked apart, all their sites together. A direction may have no neuron at a site: these masks are for
    analysis and ablation rather than for training.

    Args:
        fraction: share of a side's neurons that is selected over all groups; one number, or numbers by side.
        quantile: the bar that p must exceed.
        statistic: `count`, or `magnitude`: p is then the mean |value|.

    Raises:
        RecipeError: an unknown statistic, or a share out of (0, 1].

    Examples:
        >>> specific = ns.select_neurons(acts, ns.LAPE(fraction=0.05))
        >>> specific.sparsity() > 0.9
        True
    """

    fraction: Shares = 0.01
    quantile: float = 0.95
    statistic: Statistic = "count"

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        ways = [key for key in self.fraction if "/" in key] if isinstance(self.fraction, Mapping) else []
        if ways:
            side = ways[0].partition("/")[0]
            raise RecipeError(f"fraction for {ways[0]!r}: LAPE ranks all of a side together; give {side!r}")
        check_shares("fraction", self.fraction, pivot=None)
        check_share("quantile", self.quantile)

    def check(self, groups: Groups) -> None:
        """See `Criterion.check`."""
        check_compared(groups, "LAPE")
        for side in dict.fromkeys(side for sides in groups.values() for side in sides):
            self._fraction_of(side)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            MaskError: there is one group alone, so nothing can be specific to it.
            RecipeError: no fraction is given for a side.
        """
        import torch

        masks: dict[str, dict[str, torch.Tensor]] = {}
        for side in dict.fromkeys(map(side_of, pool.values)):
            sites = [site for site in pool.values if side_of(site) == side]
            groups = list(pool.values[sites[0]])
            rates = [torch.stack(list(compared(pool, site, "LAPE").values())) for site in sites]
            number = rounded_up(self._fraction_of(side), sum(rate.shape[1] for rate in rates))
            chosen = self._choose(torch.cat(rates, dim=1), number).split([rate.shape[1] for rate in rates], dim=1)
            masks |= {site: dict(zip(groups, rows, strict=True)) for site, rows in zip(sites, chosen, strict=True)}
        return by_direction(pool, masks)

    def _fraction_of(self, side: str) -> float:
        if not isinstance(self.fraction, Mapping):
            return self.fraction
        if side not in self.fraction:
            raise RecipeError(f"no fraction for {side}; given: {', '.join(self.fraction)}")
        return self.fraction[side]

    def _choose(self, rates: torch.Tensor, number: int) -> torch.Tensor:
        """`rates` `[groups, neurons]` to a BoolTensor of the same shape; at most `number` neurons are selected."""
        import torch

        share = rates / rates.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        entropy = -torch.special.xlogy(share, share).sum(0)
        bar = rates.flatten().kthvalue(rounded_up(self.quantile, rates.numel())).values
        eligible = (rates > bar).any(0)
        number = min(number, int(eligible.sum()))
        lowest = entropy.masked_fill(~eligible, torch.inf).sort(stable=True).indices
        return first_of(lowest, number) & (rates > bar)
