"""Arm `bilingual`: new models for single directions, which never saw any other text."""

from __future__ import annotations

from typing import ClassVar

from transformers import PreTrainedModel

from neuronspec.arms.arm import Given
from neuronspec.arms.own_models import OwnModels, alone
from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError
from neuronspec.models.load import build_model
from neuronspec.recipe import Recipe
from neuronspec.training.settings import TrainingSettings


class Bilingual(OwnModels):
    """A model of the recipe's shape for each chosen direction, trained from scratch as the baseline is.

    The training section gives all settings but the budget, which is `baselines.bilingual.updates`. The seed is that of
    the arms, also of the new weights.
    """

    needs: ClassVar[tuple[str, ...]] = ("prepare",)
    sections: ClassVar[tuple[str, ...]] = ("model", "training", "baselines.bilingual", "continuation.seed")

    def new_model(self, given: Given) -> PreTrainedModel:
        return build_model(given.recipe.model, given.store.tokenizer, given.seed)

    def settings(self, given: Given) -> dict[Direction, TrainingSettings]:
        chosen = given.recipe.baselines.bilingual
        if not chosen.directions or chosen.updates is None:
            raise RecipeError("the arm bilingual needs baselines.bilingual.directions and baselines.bilingual.updates")
        return {direction: alone(given.recipe.training, chosen.updates) for direction in chosen.chosen}

    def directions(self, recipe: Recipe) -> list[Direction]:
        return recipe.baselines.bilingual.chosen
