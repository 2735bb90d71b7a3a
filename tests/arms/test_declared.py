"""An arm reads what it declares of a recipe, and what the stages that it needs depend on; anything else is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.helpers.toy_arm import toy_recipe

from neuronspec.arms.arm import Arm, get_arm
from neuronspec.arms.declared import STAGES, UndeclaredSectionError, declared
from neuronspec.arms.dense import Dense
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import tasks_of

READS: list[tuple[Arm, Callable[[Recipe], Any], bool]] = [
    (get_arm("dense"), lambda recipe: recipe.continuation.updates, True),
    (get_arm("dense"), lambda recipe: recipe.seed, True),
    (get_arm("dense"), lambda recipe: recipe.corpus.all_directions, True),
    (get_arm("dense"), lambda recipe: recipe.evaluated_directions, True),
    (get_arm("dense"), lambda recipe: recipe.specialization.trainable, True),
    (get_arm("dense"), lambda recipe: recipe.specialization.semantics, False),
    (get_arm("dense"), lambda recipe: recipe.selection, False),
    (get_arm("dense"), lambda recipe: recipe.evaluation.beam, False),
    (get_arm("dense"), lambda recipe: recipe.corpus.families, False),
    (get_arm("dense"), lambda recipe: recipe.corpus.family("de"), False),
    (get_arm("dense"), lambda recipe: recipe.model_dump(), False),
    (get_arm("random"), lambda recipe: recipe.specialization.model_dump(), True),
    (get_arm("random"), lambda recipe: recipe.selection.coverage, True),
    (get_arm("random"), lambda recipe: recipe.corpus.family("de"), True),
    (get_arm("random"), lambda recipe: recipe.report, False),
    (get_arm("lora"), lambda recipe: recipe.baselines.lora.rank, True),
    (get_arm("lora"), lambda recipe: recipe.baselines.adapters, False),
    (get_arm("adapters_direction"), lambda recipe: recipe.corpus.family("de"), False),
    (get_arm("adapters_family"), lambda recipe: recipe.corpus.family("de"), True),
    (get_arm("bilingual"), lambda recipe: recipe.continuation.seed, True),
    (get_arm("bilingual"), lambda recipe: recipe.continuation.updates, False),
    (get_arm("bilingual"), lambda recipe: recipe.recording, False),
]


@pytest.mark.parametrize("case", range(len(READS)))
def test_what_isnt_declared_cant_be_read(case: int) -> None:
    arm, read, allowed = READS[case]
    recipe = toy_recipe()
    if allowed:
        assert read(declared(recipe, arm)) == read(recipe)
    else:
        with pytest.raises(UndeclaredSectionError, match=f"the arm {type(arm).__name__} reads .* without declaring it"):
            read(declared(recipe, arm))


def test_the_error_names_the_key() -> None:
    class Curious(Dense):
        sections = ("continuation", "baselines.lora")

    with pytest.raises(UndeclaredSectionError, match="Curious reads baselines.lass of the recipe"):
        declared(toy_recipe(), Curious()).baselines.lass.updates  # noqa: B018


def test_the_stages_depend_on_what_arms_may_read_for_them() -> None:
    recipe = toy_recipe(selection={"granularity": "family"})
    tasks = {task.name: task.settings for task in tasks_of(recipe)}
    names = {"corpus.families": "families", "evaluation.zero_shot": "zero_shot"}
    for stage, sections in STAGES.items():
        for section in sections:
            assert names.get(section, section) in tasks[stage], f"{stage} doesn't depend on {section}"
