"""Examining a model: the analyses that need it and text beside its recorded activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from neuronspec.analysis.drift import drift
from neuronspec.analysis.findings import DriftSummary
from neuronspec.analysis.overlap import compared_directions, other_language
from neuronspec.analysis.sharing import featured_neurons
from neuronspec.analysis.tokens import Firing, top_tokens
from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.positions import side_of

Featured = dict[str, dict[str, list[int]]]


def choose_neurons(
    acts: Activations, masks: NeuronMasks, pivot: str | None, families: Mapping[str, str], number: int = 4
) -> Featured:
    """Choose some neurons to show, by site and kind (`featured_neurons`).

    Args:
        acts: recorded activations.
        masks: selected from them.
        pivot: the language in the middle.
        families: by language.
        number: of neurons per kind, at most.

    Returns:
        By site and kind, indices of neurons.
    """
    featured = {}
    for site in masks.sites:
        directions = compared_directions(masks.directions, site, pivot)
        groups = [families.get(other_language(direction, pivot), "Unknown") for direction in directions]
        featured[site] = featured_neurons(acts, masks, site, directions, groups, number)
    return featured


def firings(
    model: nn.Module,
    tokenizer: Any,
    batches: Mapping[str, Sequence[Batch]],
    featured: Featured,
    directions: Sequence[Direction],
    pivot: str | None,
) -> dict[str, dict[int, list[Firing]]]:
    """Find where the chosen neurons fire most in a text sample, in the directions that their site is compared in.

    Args:
        model: that was recorded.
        tokenizer: of the model.
        batches: by direction, the text sample.
        featured: neurons by site and kind.
        directions: of the text sample.
        pivot: the language in the middle.

    Returns:
        By site and neuron, the firings with the greatest values.
    """
    neurons = {site: sorted({n for chosen in kinds.values() for n in chosen}) for site, kinds in featured.items()}
    neurons = {site: chosen for site, chosen in neurons.items() if chosen}
    found: dict[str, dict[int, list[Firing]]] = {}
    for side in dict.fromkeys(map(side_of, neurons)):
        own = {site: chosen for site, chosen in neurons.items() if side_of(site) == side}
        compared = map(str, compared_directions(directions, f"{side}.0", pivot))
        found |= top_tokens(model, (batch for name in compared for batch in batches[name]), own, tokenizer)
    return found


def drift_summary(name: str, before: NeuronMasks, after: NeuronMasks) -> DriftSummary:
    """Summarize the drift of masks, mean over directions.

    Args:
        name: of the model that was recorded again.
        before: masks of the baseline.
        after: masks of that model.
    """
    rows = drift(before, after)
    iou, kept = (
        {
            site: sum(getattr(row, part) for row in rows if row.site == site) / sum(row.site == site for row in rows)
            for site in before.sites
        }
        for part in ("iou", "kept")
    )
    return DriftSummary(name, iou, kept)
