"""The arms by name: which masks each continues the baseline with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from neuronspec.baselines.random import random_masks
from neuronspec.errors import MaskError, RecipeError, nearest
from neuronspec.neurons import NeuronMasks

ArmMasks: TypeAlias = Callable[[NeuronMasks, int], NeuronMasks]
"""From the selected masks and the run's seed to the masks of an arm."""


def _selected(masks: NeuronMasks, seed: int) -> NeuronMasks:
    return masks


ARMS: dict[str, ArmMasks | None] = {"specialized": _selected, "dense": None, "random": random_masks}
"""How each arm gets its masks; None: it trains without."""


def register_arm(name: str, masks: ArmMasks | None) -> None:
    """Make an arm of your own known under `name`.

    Raises:
        RecipeError: the name is taken; `base` and `copy` are, too.
    """
    taken = [*ARMS, "base", "copy"]
    if name in taken:
        raise RecipeError(f"arm {name!r} is registered already; registered: {', '.join(sorted(taken))}")
    ARMS[name] = masks


def arm_masks(name: str, masks: NeuronMasks | None, seed: int) -> NeuronMasks | None:
    """The masks that an arm continues the baseline with; None if it trains without.

    Args:
        name: a key of `ARMS`.
        masks: the selected masks; an arm that trains without needs none.
        seed: of the run.

    Raises:
        RecipeError: there is no such arm; names the nearest.
        MaskError: the arm needs masks and `masks` is None.
    """
    if name not in ARMS:
        raise RecipeError(f"unknown arm {name!r}; {nearest(name, ARMS)}")
    make = ARMS[name]
    if make is None:
        return None
    if masks is None:
        raise MaskError(f"arm {name!r} continues with masks, and none were given; select neurons first")
    return make(masks, seed)
