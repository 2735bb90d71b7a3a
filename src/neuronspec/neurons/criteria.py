"""Criteria: which neurons a direction is said to use, given its activations."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

import torch

from neuronspec.core.direction import Direction
from neuronspec.core.errors import MaskError, RecipeError, nearest
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.packing import pack
from neuronspec.neurons.pooling import Pool, Statistic
from neuronspec.neurons.positions import SIDES, side_of

WAYS = ("out", "into", "other")

Selected = dict[str, dict[str, torch.Tensor]]


class Criterion(ABC):
    """A rule that selects neurons. `statistic` says what it reads: None if it doesn't read activations."""

    statistic: Statistic | None

    @abstractmethod
    def select(self, pool: Pool) -> Selected:
        """A BoolTensor `[width]` by direction (`str`) and site."""


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
    """

    coverage: float | Mapping[str, float] = 0.95
    statistic: Statistic = "count"
    pivot: str | None = None

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        keys = [*SIDES, *(f"{side}/{way}" for side in SIDES for way in WAYS)]
        given = self.coverage if isinstance(self.coverage, Mapping) else {"": self.coverage}
        for key, share in given.items():
            _check_share(f"coverage {key}".strip(), share)
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


@dataclass(frozen=True)
class TopFraction(Criterion):
    """The same share of neurons at every site: those with the highest statistic (ties: lower index first).

    Args:
        fraction: share in (0, 1]; the number of neurons is rounded up, so there is at least one.
        statistic: `count` (positive activations) or `magnitude` (sum of |value|; for gated FFNs).

    Raises:
        RecipeError: an unknown statistic, or a fraction out of (0, 1].
    """

    fraction: float
    statistic: Statistic = "count"

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        _check_share("fraction", self.fraction)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`."""
        masks = {
            site: {group: self._top(values) for group, values in by_group.items()}
            for site, by_group in pool.values.items()
        }
        return _by_direction(pool, masks)

    def _top(self, values: torch.Tensor) -> torch.Tensor:
        return _first(_ranked(values), _rounded_up(self.fraction, len(values)))


@dataclass(frozen=True)
class LAPE(Criterion):
    """Language activation probability entropy (Tang et al., 2024, "Language-Specific Neurons", arXiv 2402.16438,
    with the bar of its published code).

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
    """

    fraction: float = 0.01
    quantile: float = 0.95
    statistic: Statistic = "count"

    def __post_init__(self) -> None:
        _check_statistic(self.statistic)
        _check_share("fraction", self.fraction)
        _check_share("quantile", self.quantile)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            MaskError: there is one group alone, so nothing can be specific to it.
        """
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
        return _by_direction(pool, masks)

    def _choose(self, rates: torch.Tensor) -> torch.Tensor:
        """`rates` `[groups, neurons]` to a BoolTensor of the same shape."""
        share = rates / rates.sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        entropy = -torch.special.xlogy(share, share).sum(0)
        bar = rates.flatten().kthvalue(_rounded_up(self.quantile, rates.numel())).values
        eligible = (rates > bar).any(0)
        number = min(_rounded_up(self.fraction, rates.shape[1]), int(eligible.sum()))
        lowest = entropy.masked_fill(~eligible, torch.inf).sort(stable=True).indices
        return _first(lowest, number) & (rates > bar)


@dataclass(frozen=True)
class Random(Criterion):
    """Masks of the same sparsity with the neurons permuted: the control that tells whether the choice matters.

    Every direction and site keeps its number of neurons, and directions that share a mask go on sharing one.
    The permutation depends on the seed, the site and the mask alone.

    Args:
        like: the masks to permute.
        seed: of the permutations.
    """

    like: NeuronMasks
    seed: int
    statistic = None

    def masks(self) -> NeuronMasks:
        """The permuted masks; no activations are needed."""
        info = self.like.info.model_copy(update={"criterion": repr(self), "coverage": None})
        permuted = {
            direction: {site: self._permuted(site, mask) for site, mask in sites.items()}
            for direction, sites in self.like.items()
        }
        return NeuronMasks(permuted, info)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`; the directions and sites are those of `like`."""
        return {direction: dict(sites) for direction, sites in self.masks().items()}

    def _permuted(self, site: str, mask: torch.Tensor) -> torch.Tensor:
        digest = hashlib.sha256(f"{self.seed} {site} ".encode() + pack(mask).tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        return mask[torch.randperm(len(mask), generator=generator)]


def smallest_prefix(values: torch.Tensor, coverage: float) -> torch.Tensor:
    """The fewest neurons, highest values first (ties: lower index first), whose sum reaches coverage * total.

    Args:
        values: non-negative, `[width]`; sums of integers are exact.
        coverage: in (0, 1]; 1 takes every neuron that isn't zero.

    Returns:
        BoolTensor `[width]` with at least one neuron.
    """
    order = _ranked(values)
    reached = values[order].cumsum(0)
    share = Fraction(str(float(coverage)))
    if share == 1:
        number = int(values.count_nonzero())
    elif values.is_floating_point():
        number = int(torch.searchsorted(reached, reached[-1] * float(coverage))) + 1
    else:
        number = int(torch.searchsorted(reached, _ceil(share * int(reached[-1])))) + 1
    return _first(order, max(number, 1))


def _ceil(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def _rounded_up(share: float, of: int) -> int:
    return _ceil(Fraction(str(float(share))) * of)


def _ranked(values: torch.Tensor) -> torch.Tensor:
    """Indices in descending order of `values`; ties in ascending order of index."""
    return values.sort(descending=True, stable=True).indices


def _first(order: torch.Tensor, number: int) -> torch.Tensor:
    """A BoolTensor that is true at the first `number` indices of `order`."""
    mask = torch.zeros(len(order), dtype=torch.bool)
    mask[order[:number]] = True
    return mask


def _by_direction(pool: Pool, masks: Mapping[str, Mapping[str, torch.Tensor]]) -> Selected:
    """Masks by site and group, as every direction finds them."""
    return {
        str(direction): {site: by_group[pool.group(direction, site)] for site, by_group in masks.items()}
        for direction in pool.directions
    }


def _check_statistic(statistic: str) -> None:
    if statistic not in get_args(Statistic):
        raise RecipeError(f"statistic {statistic!r}: {nearest(statistic, get_args(Statistic))}")


def _check_share(name: str, share: object) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise RecipeError(f"{name} is {share!r}: expected a number above 0 and at most 1, such as 0.95")
