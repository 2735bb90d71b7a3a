"""Which directions a figure shows, and in what order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from neuronspec.direction import Direction
from neuronspec.errors import RecipeError, nearest
from neuronspec.languages import family_of, is_known, name_of
from neuronspec.neurons import NeuronMasks

Order = Literal["family", "name"]


def shown_directions(masks: NeuronMasks, site: str, pivot: str | None) -> list[Direction]:
    """The directions that a site's overlap is shown for: in the encoder those into the pivot, in the decoder those
    out of it, as the paper does; all directions without a pivot, in decoder-only models, or where fewer than two fit.
    """
    side = site.partition(".")[0]
    into = [direction for direction in masks.directions if direction.target == pivot]
    out = [direction for direction in masks.directions if direction.source == pivot]
    chosen = {"encoder": into, "decoder": out}.get(side, [])
    return chosen if len(chosen) > 1 else list(masks.directions)


def family(code: str, families: Mapping[str, str] | None = None) -> str:
    """The family of a language: the caller's word first, then the built-in table, else `Unknown`."""
    return (families or {}).get(code) or (family_of(code) if is_known(code) else "Unknown")


def other_language(direction: Direction, pivot: str | None) -> str:
    """The language of a direction that isn't the pivot (the target, if neither is)."""
    return direction.source if direction.target == pivot else direction.target


def ordered(
    directions: list[Direction], order: Order, pivot: str | None, families: Mapping[str, str] | None = None
) -> list[Direction]:
    """Directions by family and then by the language's name, or by name alone.

    Raises:
        RecipeError: an unknown order.
    """
    if order not in get_args(Order):
        raise RecipeError(f"order {order!r}: {nearest(order, get_args(Order))}")

    def key(direction: Direction) -> tuple[str, str, str]:
        code = other_language(direction, pivot)
        return (family(code, families) if order == "family" else "", name_of(code), str(direction))

    return sorted(directions, key=key)


def label(direction: Direction, pivot: str | None) -> str:
    """The language's name where the other side is the pivot, else the direction."""
    if pivot in (direction.source, direction.target):
        return name_of(other_language(direction, pivot))
    return str(direction)


def family_bounds(
    directions: list[Direction], pivot: str | None, families: Mapping[str, str] | None = None
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
