"""Arm `bilingual`: new models for single directions, which never saw any other text."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from transformers import PreTrainedModel

from neuronspec.baselines.arm import Cost, Given
from neuronspec.baselines.own_models import OwnModels, alone
from neuronspec.direction import Direction
from neuronspec.errors import RecipeError
from neuronspec.model.build import build_model
from neuronspec.recipe import Recipe, TrainingSettings


class Bilingual(OwnModels):
    """A model of the recipe's shape for each chosen direction, trained from scratch as the baseline is.

    The training section gives all settings but the budget, which is `baselines.bilingual.updates`.
    """

    needs: ClassVar[tuple[str, ...]] = ("prepare",)
    sections: ClassVar[tuple[str, ...]] = ("model", "training", "baselines.bilingual")

    def train(self, given: Given) -> Cost:
        # the seed is the training's, so that no change of the continuation trains these again
        return super().train(replace(given, recipe=given.recipe.model_copy(update={"continuation": _training(given)})))

    def new_model(self, given: Given) -> PreTrainedModel:
        return build_model(given.recipe.model, given.store.tokenizer, given.seed)

    def settings(self, given: Given) -> dict[Direction, TrainingSettings]:
        return {direction: _training(given) for direction in self.directions(given.recipe)}

    def directions(self, recipe: Recipe) -> list[Direction]:
        return recipe.baselines.bilingual.chosen


def _training(given: Given) -> TrainingSettings:
    chosen = given.recipe.baselines.bilingual
    if not chosen.directions or chosen.updates is None:
        raise RecipeError("the arm bilingual needs baselines.bilingual.directions and baselines.bilingual.updates")
    return alone(given.recipe.training, chosen.updates)
