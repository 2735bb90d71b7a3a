"""The arms by name, as recipes write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from neuronspec.core.registry import Registry

Kind = TypeVar("Kind", bound=type)


ARMS: Registry[Any] = Registry(
    "arm",
    {
        "specialized": "neuronspec.arms.specialized:Specialized",
        "dense": "neuronspec.arms.dense:Dense",
        "random": "neuronspec.arms.masked:RandomMasks",
        "magnitude": "neuronspec.arms.masked:Magnitude",
        "top_fraction": "neuronspec.arms.masked:Uniform",
        "adapters_direction": "neuronspec.arms.adapters:DirectionAdapters",
        "adapters_family": "neuronspec.arms.adapters:FamilyAdapters",
        "adapters_matched": "neuronspec.arms.adapters:MatchedAdapters",
        "lora": "neuronspec.arms.lora:Lora",
        "finetune": "neuronspec.arms.own_models:Finetune",
        "lass": "neuronspec.arms.lass:Lass",
        "bilingual": "neuronspec.arms.own_models:Bilingual",
        "averaged": "neuronspec.arms.averaged:Averaged",
    },
)


def register_arm(name: str, arm: Kind | None = None) -> Callable[[Kind], Kind]:
    """Make an arm of your own known under a name, which recipes can list under `arms`.

    Args:
        name: as recipes write it; also the folder of the arm, below RUN/arms.
        arm: a subclass of `Arm`; without it, the result decorates one.

    Returns:
        A decorator that registers a class and returns it unchanged.

    Raises:
        RecipeError: the name is taken by another arm.
    """
    from neuronspec.arms.arm import Arm

    return ARMS.register_subclass(name, arm, Arm)
