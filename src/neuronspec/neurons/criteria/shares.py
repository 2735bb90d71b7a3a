"""Shares that criteria take: one number, or numbers by side, and by the way that a direction goes past the pivot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError, nearest
from neuronspec.neurons.criteria.criterion import Selected, check_share, first_of, rounded_up
from neuronspec.neurons.positions import SIDES, side_of

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.pooling import Groups, Pool

Shares: TypeAlias = "float | Mapping[str, float]"

WAYS = ("out", "into", "other")


def check_shares(name: str, shares: Shares, pivot: str | None) -> None:
    """Check a share by side and way; `name` is its name in messages.

    Raises:
        RecipeError: an unknown key, a number out of (0, 1], or a way without a pivot.
    """
    keys = [*SIDES, *(f"{side}/{way}" for side in SIDES for way in WAYS)]
    for key, share in (shares if isinstance(shares, Mapping) else {"": shares}).items():
        check_share(f"{name} {key}".strip(), share)
        if key and key not in keys:
            raise RecipeError(f"{name} for {key!r}: {nearest(key, keys)}")
        if "/" in key and pivot is None:
            raise RecipeError(f"{name} for {key!r} needs the pivot language: pivot='en'")


def share_of(name: str, shares: Shares, pivot: str | None, direction: Direction, side: str) -> float:
    """The share for a side of a direction; the key with the way goes before the one without.

    Raises:
        RecipeError: none is given.
    """
    if not isinstance(shares, Mapping):
        return shares
    way = {direction.source: "out", direction.target: "into"}.get(pivot or "", "other")
    for key in (f"{side}/{way}", side):
        if key in shares:
            return shares[key]
    raise RecipeError(
        f"no {name} for {side} of {direction}: give {side!r} or '{side}/{way}'; given: {', '.join(shares)}"
    )


def check_given(name: str, shares: Shares, pivot: str | None, groups: Groups) -> None:
    """Check that there is a share for each side of some directions.

    Args:
        name: of the share, in messages.
        shares: by side and way.
        pivot: the language in the middle.
        groups: by direction and side.

    Raises:
        RecipeError: none is given for a side and direction.
    """
    for direction, sides in groups.items():
        for side in sides:
            share_of(name, shares, pivot, direction, side)


def chosen(
    pool: Pool,
    name: str,
    shares: Shares,
    pivot: str | None,
    choose: Callable[[str, str, float], torch.Tensor],
) -> Selected:
    """What is chosen at each site with the share of each direction; once for directions with the same group and share.

    Args:
        pool: pooled activations.
        name: of the share, in messages.
        shares: by side and way.
        pivot: the language in the middle.
        choose: makes the mask, BoolTensor `[width]`, of a site, group and share.

    Raises:
        RecipeError: no share is given for a side and direction.
    """
    known: dict[tuple[str, str, float], torch.Tensor] = {}
    selected: Selected = {str(direction): {} for direction in pool.directions}
    for direction in pool.directions:
        for site in pool.values:
            key = site, pool.group(direction, site), share_of(name, shares, pivot, direction, side_of(site))
            if key not in known:
                known[key] = choose(*key)
            selected[str(direction)][site] = known[key]
    return selected


def leading(
    pool: Pool, shares: Shares, pivot: str | None, orders: Mapping[str, Mapping[str, torch.Tensor]]
) -> Selected:
    """The share `fraction` of each site's neurons, rounded up, that comes first.

    Args:
        pool: pooled activations.
        shares: the fraction, by side and way.
        pivot: the language in the middle.
        orders: by site and group, indices of neurons, best first; where they are fewer than the share, all are taken.

    Raises:
        RecipeError: no fraction is given for a side and direction.
    """

    def choose(site: str, group: str, share: float) -> torch.Tensor:
        width = len(pool.values[site][group])
        return first_of(orders[site][group], rounded_up(share, width), width)

    return chosen(pool, "fraction", shares, pivot, choose)
