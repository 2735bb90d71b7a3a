"""`LAPE`: the neurons that few languages use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.core.errors import MaskError
from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    by_direction,
    check_share,
    check_statistic,
    first_of,
    rounded_up,
)
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Pool


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
        fraction: share of a side's neurons that is selected over all groups.
        quantile: the bar that p must exceed.
        statistic: `count`, or `magnitude`: p is then the mean |value|.

    Raises:
        RecipeError: an unknown statistic, or a share out of (0, 1].

    Example:
        >>> specific = ns.select_neurons(acts, ns.LAPE(fraction=0.05))
        >>> specific.sparsity() > 0.9
        True
    """

    fraction: float = 0.01
    quantile: float = 0.95
    statistic: Statistic = "count"

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        check_share("fraction", self.fraction)
        check_share("quantile", self.quantile)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            MaskError: there is one group alone, so nothing can be specific to it.
        """
        import torch

        masks: dict[str, dict[str, torch.Tensor]] = {}
        for side in dict.fromkeys(map(side_of, pool.values)):
            sites = [site for site in pool.values if side_of(site) == side]
            groups = list(pool.values[sites[0]])
            if len(groups) < 2:
                raise MaskError(f"LAPE needs two groups or more to compare; the {side} has only {groups[0]}")
            rates = [
                torch.stack([pool.values[site][group].double() / max(pool.tokens[site][group], 1) for group in groups])
                for site in sites
            ]
            chosen = self._choose(torch.cat(rates, dim=1)).split([rate.shape[1] for rate in rates], dim=1)
            masks |= {site: dict(zip(groups, rows, strict=True)) for site, rows in zip(sites, chosen, strict=True)}
        return by_direction(pool, masks)

    def _choose(self, rates: torch.Tensor) -> torch.Tensor:
        """`rates` `[groups, neurons]` to a BoolTensor of the same shape."""
        import torch

        share = rates / rates.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        entropy = -torch.special.xlogy(share, share).sum(0)
        bar = rates.flatten().kthvalue(rounded_up(self.quantile, rates.numel())).values
        eligible = (rates > bar).any(0)
        number = min(rounded_up(self.fraction, rates.shape[1]), int(eligible.sum()))
        lowest = entropy.masked_fill(~eligible, torch.inf).sort(stable=True).indices
        return first_of(lowest, number) & (rates > bar)
