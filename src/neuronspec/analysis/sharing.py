"""Who uses a neuron: neurons shared by all, by one family, or used by one language alone. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from neuronspec.analysis.overlap import selected_rows
from neuronspec.core.direction import DirectionLike
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

KINDS = ("shared by all", "several families", "one family", "one language", "unused")
"""The kinds that `neuron_kinds` distinguishes, by index."""


@dataclass(frozen=True, slots=True)
class SharingRow:
    """How many neurons of a site are used by whom; the five numbers sum to `width`.

    Args:
        shared: selected in every direction.
        several: in more than one family, not in every direction.
        family: in more than one direction, all of one family.
        language: in one direction alone.
        unused: in none.
    """

    site: str
    width: int
    shared: int
    several: int
    family: int
    language: int
    unused: int


def neuron_kinds(
    masks: NeuronMasks, site: str, directions: Sequence[DirectionLike], families: Sequence[str]
) -> torch.Tensor:
    """Classify the neurons of a site by the directions that use them.

    Args:
        masks: of the directions.
        site: such as `decoder.0`.
        directions: those compared; one per language, such as all out of the pivot.
        families: the family of each direction's language.

    Returns:
        LongTensor `[width]` of indices in `KINDS`.

    Raises:
        MaskError: no such site.
        DirectionError: a direction has no masks.
    """
    selected = selected_rows(masks, site, directions)
    users = selected.sum(0)
    names = sorted(set(families))
    member = torch.tensor([[family == name for family in families] for name in names])
    families_using = ((member.long() @ selected.long()) > 0).sum(0)
    kinds = torch.full_like(users, KINDS.index("several families"))
    kinds[families_using == 1] = KINDS.index("one family")
    kinds[users == 1] = KINDS.index("one language")
    kinds[users == len(selected)] = KINDS.index("shared by all")
    kinds[users == 0] = KINDS.index("unused")
    return kinds


def sharing_row(
    masks: NeuronMasks, site: str, directions: Sequence[DirectionLike], families: Sequence[str]
) -> SharingRow:
    """Count the neurons of each kind at a site; errors as of `neuron_kinds`.

    Args:
        masks: see `neuron_kinds`.
        site: see `neuron_kinds`.
        directions: see `neuron_kinds`.
        families: see `neuron_kinds`.
    """
    counts = torch.bincount(neuron_kinds(masks, site, directions, families), minlength=len(KINDS)).tolist()
    return SharingRow(site, masks.widths[site], *counts)


@dataclass(frozen=True, slots=True)
class NeuronProfile:
    """How often one neuron fires.

    Args:
        site, neuron: which one.
        frequency: by direction, the share of token positions at which its value is > 0, in [0, 1].
        selected: the directions whose masks have it.
    """

    site: str
    neuron: int
    frequency: Mapping[str, float]
    selected: tuple[str, ...]


def firing_frequency(acts: Activations, site: str, directions: Sequence[DirectionLike] | None = None) -> torch.Tensor:
    """Compute the share of token positions at which each neuron is positive.

    Args:
        acts: recorded activations.
        site: such as `decoder.0`.
        directions: the rows; all by default.

    Returns:
        DoubleTensor `[directions, width]`, in [0, 1].
    """
    chosen = acts.directions if directions is None else directions
    return torch.stack(
        [acts.counts[direction][site].double() / max(acts.tokens[direction][site], 1) for direction in chosen]
    )


def activity(acts: Activations, site: str, directions: Sequence[DirectionLike]) -> torch.Tensor:
    """Compute how active each neuron is: how often it fires, or where that means little, its mean |value|.

    Args:
        acts: recorded activations; `acts.statistic` says which.
        site: such as `decoder.0`.
        directions: the rows.

    Returns:
        DoubleTensor `[directions, width]`.
    """
    if acts.statistic == "count":
        return firing_frequency(acts, site, directions)
    return torch.stack(
        [acts.magnitudes[direction][site].double() / max(acts.tokens[direction][site], 1) for direction in directions]
    )


def neuron_profile(acts: Activations, masks: NeuronMasks, site: str, neuron: int) -> NeuronProfile:
    """Describe a neuron over all recorded directions.

    Args:
        acts: recorded activations.
        masks: selected from them.
        site: such as `decoder.0`.
        neuron: its index at the site.

    Raises:
        IndexError: the site has no such neuron.
    """
    if not 0 <= neuron < acts.widths[site]:
        raise IndexError(f"{site} has neurons 0 to {acts.widths[site] - 1}, not {neuron}")
    frequency = {str(d): float(acts.counts[d][site][neuron]) / max(acts.tokens[d][site], 1) for d in acts.directions}
    selected = tuple(str(d) for d in masks.directions if bool(masks[d][site][neuron]))
    return NeuronProfile(site, neuron, frequency, selected)


def characteristic_neurons(
    acts: Activations, site: str, directions: Sequence[DirectionLike], number: int
) -> torch.Tensor:
    """Rank the neurons that are more active in one direction than in the others.

    Args:
        acts: recorded activations.
        site: such as `decoder.0`.
        directions: those compared.
        number: of neurons per direction.

    Returns:
        LongTensor `[directions, number]`: by the `activity` in the direction less the mean of the others, in
        descending order (ties: lower index first).
    """
    rates = activity(acts, site, directions)
    others = (rates.sum(0) - rates) / max(len(rates) - 1, 1)
    return (rates - others).sort(dim=1, descending=True, stable=True).indices[:, :number]


def featured_neurons(
    acts: Activations,
    masks: NeuronMasks,
    site: str,
    directions: Sequence[DirectionLike],
    families: Sequence[str],
    number: int = 4,
) -> dict[str, list[int]]:
    """Choose some neurons of a site to show, by kind.

    Of the neurons that all share these are the most active; of those of one family or language the ones that are
    most active there, compared with elsewhere.

    Args:
        acts: recorded activations.
        masks: of the directions.
        site: such as `decoder.0`.
        directions: as for `neuron_kinds`.
        families: as for `neuron_kinds`.
        number: of neurons per kind, at most.

    Returns:
        Indices of neurons by kind.
    """
    rates, kinds = activity(acts, site, directions), neuron_kinds(masks, site, directions, families)
    users = selected_rows(masks, site, directions).double()
    inside = (rates * users).sum(0) / users.sum(0).clamp(min=1)
    outside = (rates * (1 - users)).sum(0) / (1 - users).sum(0).clamp(min=1)
    contrast = inside - outside
    featured = {}
    for kind in ("shared by all", "one family", "one language"):
        members = (kinds == KINDS.index(kind)).nonzero().flatten()
        order = contrast[members].sort(descending=True, stable=True).indices[:number]
        featured[kind] = members[order].tolist()
    return featured
