"""The arms by name."""

from __future__ import annotations

from neuronspec.arms.adapters import DirectionAdapters, FamilyAdapters, MatchedAdapters
from neuronspec.arms.arm import Arm
from neuronspec.arms.dense import Dense
from neuronspec.arms.lass import Lass
from neuronspec.arms.lora import Lora
from neuronspec.arms.masked import Magnitude, RandomMasks, Uniform
from neuronspec.arms.own_models import Bilingual, Finetune
from neuronspec.arms.specialized import Specialized
from neuronspec.core.errors import RecipeError, nearest

ARMS: dict[str, Arm] = {
    "specialized": Specialized(),
    "dense": Dense(),
    "random": RandomMasks(),
    "magnitude": Magnitude(),
    "top_fraction": Uniform(),
    "finetune": Finetune(),
    "lass": Lass(),
    "bilingual": Bilingual(),
    "adapters_direction": DirectionAdapters(),
    "adapters_family": FamilyAdapters(),
    "adapters_matched": MatchedAdapters(),
    "lora": Lora(),
}
"""What can go on from the baseline. The names are those of `recipe.ArmName`."""


def get_arm(name: str) -> Arm:
    """The arm of a name.

    Raises:
        RecipeError: there is no such arm; names the nearest.
    """
    if name not in ARMS:
        raise RecipeError(f"unknown arm {name!r}; {nearest(name, ARMS)}")
    return ARMS[name]
