"""Preparing the text of a recipe, without the rest of a run."""

from __future__ import annotations

from pathlib import Path

from neuronspec.corpus.prepare import prepare
from neuronspec.recipe import Recipe


def prepare_recipe(recipe: Recipe, folder: Path) -> dict[str, float]:
    """What the stage `prepare` does, into `folder`."""
    zero_shot = recipe.evaluation.zero_shot_directions
    return prepare(recipe.corpus, recipe.tokenizer, folder, seed=recipe.seed, zero_shot=zero_shot)
