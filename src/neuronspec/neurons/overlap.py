"""How much the neurons of directions overlap. Pure functions of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from neuronspec.direction import Direction, DirectionLike
from neuronspec.errors import MaskError, nearest
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.padding import side_of


@dataclass(frozen=True, slots=True)
class LayerOverlap:
    """The mean overlap at one site over all pairs of some directions.

    Args:
        site: `encoder.N`, `decoder.N` or `layers.N`.
        directions: the directions compared.
        mean: mean IoU over their pairs, in [0, 1]; None where there is no pair.
        chance: the mean expected of random masks of the same sizes; None where there is no pair.
    """

    site: str
    directions: tuple[Direction, ...]
    mean: float | None
    chance: float | None


def overlap(masks: NeuronMasks, site: str, directions: Sequence[DirectionLike] | None = None) -> torch.Tensor:
    """Intersection over union of selected neurons, for every pair of directions.

    Two directions without any neuron at the site overlap fully (1).

    Args:
        masks: the masks.
        site: `encoder.N`, `decoder.N` or `layers.N`.
        directions: rows and columns, in this order; all by default, sorted.

    Returns:
        Symmetric DoubleTensor `[directions, directions]` in [0, 1] with ones on the diagonal.

    Raises:
        MaskError: no such site.
        DirectionError: a direction has no masks.
    """
    selected = _selected(masks, site, directions).double()
    common = selected @ selected.T
    sizes = common.diagonal()
    union = sizes[:, None] + sizes[None, :] - common
    return torch.where(union > 0, common / union, 1.0)


def chance_overlap(masks: NeuronMasks, site: str, directions: Sequence[DirectionLike] | None = None) -> torch.Tensor:
    """The IoU expected of independent random masks of the same sizes: what overlap is to be held against.

    With a and b of n neurons the common ones are hypergeometric, so the expectation of x / (a + b - x) is exact.
    Arguments, shape and errors as in `overlap`; the diagonal is what two random masks of that size would share.
    """
    selected = _selected(masks, site, directions)
    sizes = selected.sum(1).tolist()
    width = selected.shape[1]
    return torch.tensor([[_expected_iou(*sorted((a, b)), width) for b in sizes] for a in sizes], dtype=torch.float64)


def overlap_progression(masks: NeuronMasks, pivot: str) -> list[LayerOverlap]:
    """Mean pairwise IoU layer by layer: encoder sites over the directions into the pivot, decoder sites over those
    out of it, the layers of a decoder-only model over all directions (as in Tan et al., 2024, arXiv 2404.11201).
    """
    chosen = {
        "encoder": tuple(direction for direction in masks.directions if direction.target == pivot),
        "decoder": tuple(direction for direction in masks.directions if direction.source == pivot),
        "layers": masks.directions,
    }
    rows = []
    for site in masks.sites:
        directions = chosen[side_of(site)]
        if len(directions) < 2:
            rows.append(LayerOverlap(site, directions, None, None))
            continue
        mean = _mean_of_pairs(overlap(masks, site, directions))
        chance = _mean_of_pairs(chance_overlap(masks, site, directions))
        rows.append(LayerOverlap(site, directions, mean, chance))
    return rows


def sparsity_table(masks: NeuronMasks) -> dict[str, dict[str, float]]:
    """The share of unselected neurons by direction and site, in [0, 1]."""
    return {
        direction: {site: 1 - int(mask.sum()) / len(mask) for site, mask in sites.items()}
        for direction, sites in masks.items()
    }


def _selected(masks: NeuronMasks, site: str, directions: Sequence[DirectionLike] | None) -> torch.Tensor:
    """BoolTensor `[directions, width]`."""
    if site not in masks.widths:
        raise MaskError(f"no masks for site {site!r}; {nearest(site, masks.sites)}")
    chosen = masks.directions if directions is None else directions
    return torch.stack([masks[direction][site] for direction in chosen])


def _mean_of_pairs(matrix: torch.Tensor) -> float:
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1)
    return float(matrix[rows, columns].mean())


@lru_cache(maxsize=1 << 16)
def _expected_iou(a: int, b: int, width: int) -> float:
    """Expected IoU of a random set of `a` and one of `b` of `width` neurons."""
    if a + b == 0:
        return 1.0
    common = torch.arange(max(0, a + b - width), min(a, b) + 1, dtype=torch.float64)
    log_ways = _log_choose(b, common) + _log_choose(width - b, a - common)
    chance = torch.softmax(log_ways, dim=0)
    return float((chance * common / (a + b - common)).sum())


def _log_choose(n: int, k: torch.Tensor) -> torch.Tensor:
    whole = torch.tensor(float(n), dtype=torch.float64)
    return torch.lgamma(whole + 1) - torch.lgamma(k + 1) - torch.lgamma(whole - k + 1)
