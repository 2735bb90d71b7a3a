"""In what order a figure shows directions, and what it calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from neuronspec.analysis.overlap import compared_directions, other_language, overlap
from neuronspec.analysis.structure import cluster
from neuronspec.core.direction import Direction, Monolingual
from neuronspec.core.errors import RecipeError, nearest
from neuronspec.core.languages import family_of, is_known, name_of
from neuronspec.neurons.masks import NeuronMasks

Order = Literal["family", "cluster", "name"]


def shown_directions(masks: NeuronMasks, site: str, pivot: str | None) -> list[Direction]:
    """The directions that a site's overlap is shown for: see `compared_directions`."""
    return compared_directions(masks.directions, site, pivot)


def family(code: str, families: Mapping[str, str] | None = None) -> str:
    """The family of a language: what the caller says first, then the built-in table, else `Unknown`."""
    return (families or {}).get(code) or (family_of(code) if is_known(code) else "Unknown")


def ordered(
    directions: Sequence[Direction],
    order: Order,
    pivot: str | None,
    families: Mapping[str, str] | None = None,
    masks: NeuronMasks | None = None,
    site: str | None = None,
) -> list[Direction]:
    """Directions by family and name, by name alone, or as a clustering of the masks at a site orders them.

    Args:
        directions: to be ordered.
        order: `family` (then by the language's name), `name`, or `cluster`, which needs `masks` and `site`.
        pivot: the language in the middle.
        families: by language, where it isn't the built-in table's.
        masks: the selected neurons.
        site: where they are clustered.

    Raises:
        RecipeError: an unknown order.
    """
    if order not in get_args(Order):
        raise RecipeError(f"order {order!r}: {nearest(order, get_args(Order))}")
    by_name = sorted(directions, key=lambda direction: (name_of(other_language(direction, pivot)), str(direction)))
    if order == "name":
        return by_name
    if order == "family":
        return sorted(by_name, key=lambda direction: family(other_language(direction, pivot), families))
    if masks is None or site is None:
        raise RecipeError("order 'cluster' needs the masks of a site")
    distances = 1 - np.asarray(overlap(masks, site, by_name))
    return [by_name[leaf] for leaf in cluster(distances).leaves]


def label(direction: Direction, pivot: str | None) -> str:
    """The language's name where the other side is the pivot, else the direction."""
    if pivot in (direction.source, direction.target) or isinstance(direction, Monolingual):
        return name_of(other_language(direction, pivot))
    return str(direction)


def labels(directions: Sequence[Direction], pivot: str | None) -> list[str]:
    """A label each, all different: the directions themselves where names would repeat."""
    names = [label(direction, pivot) for direction in directions]
    return names if len(set(names)) == len(names) else [str(direction) for direction in directions]


def site_title(site: str) -> str:
    """`encoder 1` of `encoder.0`: layers are counted from 1 for readers."""
    side, _, layer = site.partition(".")
    return f"{'layer' if side == 'layers' else side} {int(layer) + 1}"


def family_bounds(
    directions: Sequence[Direction], pivot: str | None, families: Mapping[str, str] | None = None
) -> list[tuple[str, int, int]]:
    """Runs of one family in an ordered list: family, first index, index after the last."""
    runs: list[tuple[str, int, int]] = []
    for index, direction in enumerate(directions):
        name = family(other_language(direction, pivot), families)
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], index + 1)
        else:
            runs.append((name, index, index + 1))
    return runs
