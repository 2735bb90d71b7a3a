"""Which directions are compared at a site: those whose language differs there."""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.direction import Direction


def compared_directions(directions: Sequence[Direction], site: str, pivot: str | None) -> list[Direction]:
    """In the encoder the directions into the pivot, in the decoder those out of it (as Tan et al., 2024, do); all
    directions without a pivot, in decoder-only models, or where fewer than two fit."""
    into = [direction for direction in directions if direction.target == pivot]
    out = [direction for direction in directions if direction.source == pivot]
    chosen = {"encoder": into, "decoder": out}.get(site.partition(".")[0], [])
    return chosen if len(chosen) > 1 else list(directions)


def other_language(direction: Direction, pivot: str | None) -> str:
    """The language of a direction that isn't the pivot (the target, if neither is)."""
    return direction.source if direction.target == pivot else direction.target
