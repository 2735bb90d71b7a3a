"""The arms by name."""

from __future__ import annotations

from neuronspec.baselines.adapters import DirectionAdapters, FamilyAdapters, MatchedAdapters
from neuronspec.baselines.arm import Arm
from neuronspec.baselines.bilingual import Bilingual
from neuronspec.baselines.dense import Dense
from neuronspec.baselines.finetune import Finetune
from neuronspec.baselines.lass import Lass
from neuronspec.baselines.lora import Lora
from neuronspec.baselines.magnitude import Magnitude
from neuronspec.baselines.random import RandomMasks
from neuronspec.baselines.specialized import Specialized
from neuronspec.baselines.top_fraction import Uniform
from neuronspec.errors import RecipeError, nearest

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
