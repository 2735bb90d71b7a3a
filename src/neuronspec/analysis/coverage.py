"""Coverage: what share of the activation how many neurons carry, and what k does to masks. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from neuronspec.analysis.overlap import overlap_progression
from neuronspec.core.direction import DirectionLike
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.selection import select_neurons
from neuronspec.neurons.settings import Granularity, Statistic

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The values of k that `effect_of_coverage` tries: the paper's 0.7 and 0.95 are among them."""


@dataclass(frozen=True, slots=True)
class CoverageCurve:
    """Share of a site's activation against share of its neurons, the most active first.

    Args:
        neurons: shares of neurons, from 0 to 1.
        mean, low, high: the share of activation that they carry: mean, least and greatest over directions.
    """

    site: str
    neurons: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def coverage_curve(
    acts: Activations,
    site: str,
    directions: Sequence[DirectionLike] | None = None,
    *,
    statistic: Statistic = "count",
    points: int = 50,
) -> CoverageCurve:
    """Compute the coverage curve of a site: mean, least and greatest over directions.

    A direction in which no neuron fires has the diagonal as its curve.

    Args:
        acts: recorded activations.
        site: such as `decoder.0`.
        directions: to average over; all by default.
        statistic: `count` or `magnitude`.
        points: shares of neurons at which the curve is given, beside 0.
    """
    recorded = acts.counts if statistic == "count" else acts.magnitudes
    values = torch.stack([recorded[d][site].double() for d in (acts.directions if directions is None else directions)])
    carried = values.sort(dim=1, descending=True).values.cumsum(1)
    width = values.shape[1]
    shares = torch.linspace(0, 1, points + 1, dtype=torch.float64)
    total = carried[:, -1:]
    curve = torch.where(total > 0, carried / total.clamp(min=1e-300), torch.arange(1, width + 1) / width)
    curve = torch.cat([torch.zeros(len(curve), 1, dtype=torch.float64), curve], dim=1)
    at = curve[:, (shares * width).round().long()]
    return CoverageCurve(
        site,
        tuple(shares.tolist()),
        tuple(at.mean(0).tolist()),
        tuple(at.min(0).values.tolist()),
        tuple(at.max(0).values.tolist()),
    )


@dataclass(frozen=True, slots=True)
class CoverageEffect:
    """What masks look like at one k on one side of the model.

    Args:
        coverage: k.
        side: `encoder`, `decoder` or `layers`.
        sparsity: share of unselected neurons, mean over directions and sites.
        first, last: mean IoU at the side's first and last site; None where there is no pair.
        first_chance, last_chance: what random masks of these sizes would share.
    """

    coverage: float
    side: str
    sparsity: float
    first: float | None
    last: float | None
    first_chance: float | None
    last_chance: float | None


def effect_of_coverage(
    acts: Activations,
    pivot: str,
    *,
    levels: Sequence[float] = LEVELS,
    statistic: Statistic = "count",
    granularity: Granularity = "direction",
    families: Mapping[str, str] | None = None,
) -> list[CoverageEffect]:
    """Measure what k does to masks: their sparsity, and their overlap in the first and last layer of each side.

    Args:
        acts: recorded activations.
        pivot: the language in the middle.
        levels: the values of k.
        statistic: see `CumulativeActivation`.
        granularity: see `select_neurons`.
        families: see `select_neurons`.

    Returns:
        One entry per k and side.
    """
    effects = []
    for level in levels:
        masks = select_neurons(acts, CumulativeActivation(level, statistic=statistic), granularity, families)
        rows, by_site = overlap_progression(masks, pivot), masks.sparsity("site")
        for side in dict.fromkeys(map(side_of, masks.sites)):
            own = [row for row in rows if side_of(row.site) == side]
            sparsity = sum(by_site[row.site] for row in own) / len(own)
            first, last = own[0], own[-1]
            effects.append(CoverageEffect(level, side, sparsity, first.mean, last.mean, first.chance, last.chance))
    return effects
