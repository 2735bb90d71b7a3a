"""`CumulativeActivation`: the fewest neurons that cover a share of the activation."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.criterion import Criterion, Selected, ceil, check_statistic, first_of, ranked
from neuronspec.neurons.criteria.shares import Shares, check_given, check_shares, chosen
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Groups, Pool


@dataclass(frozen=True)
class CumulativeActivation(Criterion):
    """The fewest neurons that together cover a share of the activation (Tan et al., 2024, arXiv 2404.11201).

    The selected set is the smallest prefix, in descending order of the statistic (ties: lower index first),
    whose sum is >= coverage * the sum over all neurons; at least one neuron. Counts are compared exactly, in
    integers, with the coverage as it is written (0.7 is 7/10).

    Args:
        coverage: k in (0, 1]: one number, or numbers by side. Keys are `encoder`, `decoder` and `layers` (of a
            decoder-only model), or one of these with the way the direction goes past the pivot: `encoder/out`
            (source is the pivot), `encoder/into` (target is the pivot), `encoder/other` (neither). The longer key
            goes before the shorter; every side and direction recorded must find one.
        statistic: `count` (positive activations) or `magnitude` (sum of |value|; for gated FFNs).
        pivot: the language in the middle; needed for keys with a way.

    Raises:
        RecipeError: an unknown key or statistic, a number out of (0, 1], or a way without a pivot.

    Examples:
        >>> masks = ns.select_neurons(acts, ns.CumulativeActivation(0.7))
        >>> masks.sparsity() > ns.select_neurons(acts, ns.CumulativeActivation(0.95)).sparsity()
        True
        >>> by_side = ns.CumulativeActivation({"encoder": 0.9, "decoder/out": 0.95, "decoder": 0.9}, pivot="en")
    """

    coverage: Shares = 0.95
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        check_shares("coverage", self.coverage, self.pivot)

    def check(self, groups: Groups) -> None:
        """See `Criterion.check`."""
        check_given("coverage", self.coverage, self.pivot, groups)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            RecipeError: no coverage is given for a side and direction.
        """

        def choose(site: str, group: str, share: float) -> torch.Tensor:
            return smallest_prefix(pool.values[site][group], share)

        return chosen(pool, "coverage", self.coverage, self.pivot, choose)


def smallest_prefix(values: torch.Tensor, coverage: float) -> torch.Tensor:
    """The fewest neurons, highest values first (ties: lower index first), whose sum reaches coverage * total.

    Args:
        values: non-negative, `[width]`; sums of integers are exact.
        coverage: in (0, 1]; 1 takes every neuron that isn't zero.

    Returns:
        BoolTensor `[width]` with at least one neuron.
    """
    import torch

    order = ranked(values)
    reached = values[order].cumsum(0)
    share = Fraction(str(float(coverage)))
    if share == 1:
        number = int(values.count_nonzero())
    elif values.is_floating_point():
        number = int(torch.searchsorted(reached, reached[-1] * float(coverage))) + 1
    else:
        number = int(torch.searchsorted(reached, ceil(share * int(reached[-1])))) + 1
    return first_of(order, max(number, 1))
