"""Directions that a specialized model serves: its own, and zero-shot ones by composition."""

from __future__ import annotations

from torch import nn

from neuronspec.core.direction import Direction
from neuronspec.specialization.model_state import attached


def serve(model: nn.Module, direction: Direction, pivot: str | None = None) -> None:
    """See that a specialized model has masks for `direction`; for one without its own they are composed.

    Raises:
        DirectionError: they can't be composed, or the pivot must be named.
    """
    state = attached(model)
    if state is not None and str(direction) not in state.masks:
        derived = state.masks.for_direction(direction, pivot)
        state.masks = state.masks.compose(direction, encoder=derived.encoder, decoder=derived.decoder)


def composed_from(model: nn.Module, direction: Direction) -> tuple[str, str] | None:
    """The directions whose masks serve `direction`, if they were composed."""
    state = attached(model)
    return state.masks.info.composed.get(str(direction)) if state is not None else None
