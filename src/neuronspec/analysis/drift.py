"""Drift and stability: do masks change with training, with the amount of text, with its choice? Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

_DRAWS = 20
"""Choices of text that a seed draws until one is new."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """How much a direction's masks of one site overlap with those recorded at another time.

    Args:
        iou: intersection over union of before and after, in [0, 1].
        kept: share of the neurons before that are still there.
        before, after: numbers of neurons.
    """

    direction: str
    site: str
    iou: float
    kept: float
    before: int
    after: int


def drift(before: NeuronMasks, after: NeuronMasks) -> list[DriftRow]:
    """Compare masks with those of the same directions at another time.

    Args:
        before: masks.
        after: masks of the same model shape, selected at another time.

    Returns:
        One row per common direction and site.

    Raises:
        DirectionError: the two have no direction in common.
        MaskError: their sites differ.
    """
    if before.widths != after.widths:
        raise MaskError(f"masks of different models can't be compared: {before.widths} and {after.widths}")
    both = [name for name in before if name in after]
    if not both:
        raise DirectionError(f"no direction in common: {', '.join(before)} and {', '.join(after)}")
    return [_drift_row(name, site, before[name][site], after[name][site]) for name in both for site in before.sites]


def mean_overlap(first: NeuronMasks, second: NeuronMasks) -> dict[str, float]:
    """The mean IoU over directions of each site's masks with those of the same direction in `second`.

    Args:
        first: masks.
        second: masks of the same sites, with the directions of `first` or more.

    Returns:
        By site.
    """
    rows = drift(first, second)
    return {site: float(np.mean([row.iou for row in rows if row.site == site])) for site in first.sites}


@dataclass(frozen=True, slots=True)
class StabilityRow:
    """Masks from a part of the text.

    Args:
        share: of the text that was used, in (0, 1].
        seed: of the choice.
        tokens: positions that a direction's masks were selected from, mean over directions and sites.
        site: which site.
        iou: mean over directions of the overlap with the masks from all text.
        other: the same with the masks from other choices of as much text; None where there is no other one.
    """

    share: float
    seed: int
    tokens: float
    site: str
    iou: float
    other: float | None


def stability(
    parts: Sequence[Activations],
    select: Callable[[Activations], NeuronMasks],
    *,
    shares: Sequence[float] = (0.1, 0.25, 0.5),
    seeds: Sequence[int] = (0, 1, 2),
) -> list[StabilityRow]:
    """How much masks depend on how much text, and which, they are selected from.

    Args:
        parts: recordings of disjoint parts of the text, of about the same size.
        select: makes masks of activations.
        shares: of the parts that are used, rounded to whole parts, at least one.
        seeds: which parts.

    Raises:
        MaskError: fewer than two parts.
    """
    if len(parts) < 2:
        raise MaskError(f"stability needs two parts of text or more; given: {len(parts)}")
    everything = select(_sum(parts))
    rows = []
    for number in sorted({max(1, round(share * len(parts))) for share in shares}):
        choices = _choices(len(parts), number, seeds)
        chosen = {seed: _sum([parts[i] for i in choices[seed]]) for seed in seeds}
        masks = {seed: select(acts) for seed, acts in chosen.items()}
        for seed in seeds:
            against_all = mean_overlap(masks[seed], everything)
            others = [
                mean_overlap(masks[seed], masks[other]) for other in seeds if {*choices[other]} != {*choices[seed]}
            ]
            for site, iou in against_all.items():
                between = float(np.mean([other[site] for other in others])) if others else None
                rows.append(StabilityRow(number / len(parts), seed, _tokens(chosen[seed]), site, iou, between))
    return rows


def _choices(parts: int, number: int, seeds: Sequence[int]) -> dict[int, list[int]]:
    """By seed, `number` of the parts: another choice than those before, as far as there is one."""
    chosen: dict[int, list[int]] = {}
    for seed in seeds:
        random = np.random.default_rng(seed)
        draws = [random.permutation(parts)[:number].tolist() for _ in range(_DRAWS)]
        taken = [{*one} for one in chosen.values()]
        chosen[seed] = next((one for one in draws if {*one} not in taken), draws[0])
    return chosen


def _sum(parts: Sequence[Activations]) -> Activations:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _tokens(acts: Activations) -> float:
    return float(np.mean([number for sites in acts.tokens.values() for number in sites.values()]))


def _drift_row(direction: str, site: str, before: torch.Tensor, after: torch.Tensor) -> DriftRow:
    common, union = int((before & after).sum()), int((before | after).sum())
    number = int(before.sum())
    return DriftRow(
        direction,
        site,
        common / union if union else 1.0,
        common / number if number else 1.0,
        number,
        int(after.sum()),
    )
