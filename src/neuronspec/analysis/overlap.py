"""How much the neurons of directions overlap. Pure functions of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import MaskError, nearest
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Statistic

_BLOCK = 1 << 21
"""Numbers in one block of the exact chance level, which has one row per pair of sizes, one column per neuron."""


@dataclass(frozen=True, slots=True)
class LayerOverlap:
    """The mean overlap at one site over all pairs of some directions.

    Args:
        site: `encoder.N`, `decoder.N` or `layers.N`.
        directions: the directions compared.
        mean: mean IoU over their pairs, in [0, 1]; None where there is no pair.
        chance: the mean expected of random masks of the same sizes; None where there is no pair.
        quartiles: 25%, 50% and 75% of the pairs have at most this IoU; None where there is no pair.
        above_chance: mean of `above_chance` over the pairs; None where there is no pair.
    """

    site: str
    directions: tuple[Direction, ...]
    mean: float | None
    chance: float | None
    quartiles: tuple[float, float, float] | None = None
    above_chance: float | None = None


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

    Examples:
        >>> masks = ns.NeuronMasks.from_dict(
        ...     {
        ...         "en-de": {"decoder.0": torch.tensor([True, True, False, False])},
        ...         "en-fr": {"decoder.0": torch.tensor([True, False, False, False])},
        ...     }
        ... )
        >>> ns.overlap(masks, "decoder.0").tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    selected = selected_rows(masks, site, directions).double()
    common = selected @ selected.T
    sizes = common.diagonal()
    union = sizes[:, None] + sizes[None, :] - common
    return torch.where(union > 0, common / union, 1.0)


def most_active_overlap(
    acts: Activations, site: str, directions: Sequence[DirectionLike], number: int, statistic: Statistic = "count"
) -> torch.Tensor:
    """Intersection over union of each direction's most active neurons, the same number for every direction.

    Masks that differ in size overlap less than masks of one size, whatever their neurons, also above chance. Where
    families differ in the size of their masks, only sets of one size tell whether they differ in their neurons.

    Args:
        acts: recorded activations.
        site: `encoder.N`, `decoder.N` or `layers.N`.
        directions: rows and columns, in this order.
        number: of neurons per direction.
        statistic: what activity is: `count` or `magnitude`.

    Returns:
        Symmetric DoubleTensor `[directions, directions]` in [0, 1] with ones on the diagonal.
    """
    recorded = acts.counts if statistic == "count" else acts.magnitudes
    activity = torch.stack([recorded[direction][site].double() for direction in directions])
    places = activity.sort(dim=1, descending=True, stable=True).indices[:, :number]
    selected = torch.zeros_like(activity).scatter(1, places, 1.0)
    common = selected @ selected.T
    return common / (2 * places.shape[1] - common)


def chance_overlap(masks: NeuronMasks, site: str, directions: Sequence[DirectionLike] | None = None) -> torch.Tensor:
    """Compute the IoU expected of independent random masks of the same sizes.

    With a and b of n neurons the common ones are hypergeometric, so the expectation of x / (a + b - x) is exact.

    Args:
        masks: see `overlap`.
        site: see `overlap`.
        directions: see `overlap`.

    Returns:
        DoubleTensor `[directions, directions]`; the diagonal is what two random masks of that size would share.
    """
    selected = selected_rows(masks, site, directions)
    width = selected.shape[1]
    sizes, place = selected.sum(1).unique(return_inverse=True)
    rows, columns = torch.triu_indices(len(sizes), len(sizes))
    expected = torch.empty(len(sizes), len(sizes), dtype=torch.float64)
    block = max(1, _BLOCK // (width + 1))
    for some in torch.arange(len(rows)).split(block):
        low, high = rows[some], columns[some]
        expected[low, high] = expected[high, low] = _expected_iou(sizes[low], sizes[high], width)
    return expected[place][:, place]


def above_chance(measured: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """How far an overlap is above that of random masks: 0 is chance, 1 is identical, below 0 is less than chance.

    `(measured - chance) / (1 - chance)`, elementwise, as Cohen's kappa corrects agreement; 0 where chance is 1.

    Args:
        measured: overlaps, of any shape.
        chance: those expected of random masks, of the same shape.

    Returns:
        Of that shape.
    """
    room = 1 - chance
    return torch.where(room > 1e-12, (measured - chance) / room.clamp(min=1e-12), 0.0)


def overlap_progression(masks: NeuronMasks, pivot: str) -> list[LayerOverlap]:
    """Compute the mean pairwise IoU of each layer (Tan et al., 2024, arXiv 2404.11201).

    Encoder sites are compared over the directions into the pivot, decoder sites over those out of it, and the layers
    of a decoder-only model over all directions.

    Args:
        masks: of all directions.
        pivot: the language in the middle.

    Returns:
        One entry per site, in the model's order.
    """
    chosen = {
        "encoder": tuple(direction for direction in masks.directions if direction.target == pivot),
        "decoder": tuple(direction for direction in masks.directions if direction.source == pivot),
        "layers": masks.directions,
    }
    return [_layer_overlap(masks, site, chosen[side_of(site)]) for site in masks.sites]


def _layer_overlap(masks: NeuronMasks, site: str, directions: tuple[Direction, ...]) -> LayerOverlap:
    if len(directions) < 2:
        return LayerOverlap(site, directions, None, None)
    measured, chance = overlap(masks, site, directions), chance_overlap(masks, site, directions)
    pairs = of_pairs(measured)
    low, middle, high = pairs.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    return LayerOverlap(
        site,
        directions,
        float(pairs.mean()),
        float(of_pairs(chance).mean()),
        (low, middle, high),
        float(of_pairs(above_chance(measured, chance)).mean()),
    )


def sparsity_table(masks: NeuronMasks) -> dict[str, dict[str, float]]:
    """The share of unselected neurons by direction and site, in [0, 1]."""
    return {
        direction: {site: 1 - int(mask.sum()) / len(mask) for site, mask in sites.items()}
        for direction, sites in masks.items()
    }


def selected_rows(masks: NeuronMasks, site: str, directions: Sequence[DirectionLike] | None) -> torch.Tensor:
    """Stack the masks of a site.

    Args:
        masks: of the directions.
        site: such as `decoder.0`.
        directions: the rows; all by default.

    Returns:
        BoolTensor `[directions, width]`.
    """
    if site not in masks.widths:
        raise MaskError(f"no masks for site {site!r}; {nearest(site, masks.sites)}")
    chosen = masks.directions if directions is None else directions
    return torch.stack([masks[direction][site] for direction in chosen])


def of_pairs(matrix: torch.Tensor) -> torch.Tensor:
    """The entries above the diagonal of a symmetric matrix, row by row: `[pairs]`."""
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1)
    return matrix[rows, columns]


def _expected_iou(a: torch.Tensor, b: torch.Tensor, width: int) -> torch.Tensor:
    """Expected IoU of a random set of `a` and one of `b` of `width` neurons: `[pairs]` of LongTensors `[pairs]`."""
    a, b = a[:, None], b[:, None]
    common = torch.arange(width + 1)[None, :]
    possible = (common <= a) & (common <= b) & (common >= a + b - width)
    log_factorial = torch.lgamma(torch.arange(width + 1, dtype=torch.float64) + 1)

    def log_choose(n: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        k = k.clamp(min=0).minimum(n)
        return log_factorial[n] - log_factorial[k] - log_factorial[n - k]

    log_ways = log_choose(b, common) + log_choose(width - b, a - common)
    probability = torch.softmax(log_ways.masked_fill(~possible, -torch.inf), dim=1)
    union = a + b - common
    return (probability * torch.where(union > 0, common / union, 1.0)).sum(1)


def compared_directions(directions: Sequence[Direction], site: str, pivot: str | None) -> list[Direction]:
    """Choose the directions that are compared at a site, as Tan et al. (2024) do.

    Args:
        directions: to choose from.
        site: such as `decoder.0`.
        pivot: the language in the middle.

    Returns:
        In the encoder the directions into the pivot, in the decoder those out of it; all directions without a pivot,
        in decoder-only models, or where fewer than two fit.
    """
    into = [direction for direction in directions if direction.target == pivot]
    out = [direction for direction in directions if direction.source == pivot]
    chosen = {"encoder": into, "decoder": out}.get(site.partition(".")[0], [])
    return chosen if len(chosen) > 1 else list(directions)


def other_language(direction: Direction, pivot: str | None) -> str:
    """The language of a direction that isn't the pivot (the target, if neither is)."""
    return direction.source if direction.target == pivot else direction.target
