"""`CumulativeActivation`: the fewest neurons that cover a share of the activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError, nearest
from neuronspec.neurons.criteria.criterion import (
    Criterion,
    Selected,
    ceil,
    check_share,
    check_statistic,
    first_of,
    ranked,
)
from neuronspec.neurons.positions import SIDES, side_of
from neuronspec.neurons.settings import Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Pool

WAYS = ("out", "into", "other")


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

    Example:
        >>> masks = ns.select_neurons(acts, ns.CumulativeActivation(0.7))
        >>> masks.sparsity() > ns.select_neurons(acts, ns.CumulativeActivation(0.95)).sparsity()
        True
        >>> by_side = ns.CumulativeActivation({"encoder": 0.9, "decoder/out": 0.95, "decoder": 0.9}, pivot="en")
    """

    coverage: float | Mapping[str, float] = 0.95
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        check_statistic(self.statistic)
        keys = [*SIDES, *(f"{side}/{way}" for side in SIDES for way in WAYS)]
        given = self.coverage if isinstance(self.coverage, Mapping) else {"": self.coverage}
        for key, share in given.items():
            check_share(f"coverage {key}".strip(), share)
            if key and key not in keys:
                raise RecipeError(f"coverage for {key!r}: {nearest(key, keys)}")
            if "/" in key and self.pivot is None:
                raise RecipeError(f"coverage for {key!r} needs the pivot language: pivot='en'")

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            RecipeError: no coverage is given for a side and direction.
        """
        known: dict[tuple[str, str, float], torch.Tensor] = {}
        selected: Selected = {str(direction): {} for direction in pool.directions}
        for direction in pool.directions:
            for site, values in pool.values.items():
                group, share = pool.group(direction, site), self._coverage_of(direction, side_of(site))
                if (site, group, share) not in known:
                    known[site, group, share] = smallest_prefix(values[group], share)
                selected[str(direction)][site] = known[site, group, share]
        return selected

    def _coverage_of(self, direction: Direction, side: str) -> float:
        if not isinstance(self.coverage, Mapping):
            return self.coverage
        way = {direction.source: "out", direction.target: "into"}.get(self.pivot or "", "other")
        for key in (f"{side}/{way}", side):
            if key in self.coverage:
                return self.coverage[key]
        raise RecipeError(
            f"no coverage for {side} of {direction}: give {side!r} or '{side}/{way}'; given: {', '.join(self.coverage)}"
        )


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
