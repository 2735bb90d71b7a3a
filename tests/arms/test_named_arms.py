"""Arms with a name and settings of their own: `{name: lape-g, semantics: gradient, criterion: lape}`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import toy_given, toy_recipe, trained

from neuronspec.arms.arm import arm_of
from neuronspec.core.errors import RecipeError
from neuronspec.models.load import load_model
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.lape import LAPE
from neuronspec.neurons.criteria.magnitude import WeightMagnitude
from neuronspec.neurons.criteria.top_fraction import TopFraction
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.selection import select_neurons
from neuronspec.recipe import Recipe
from neuronspec.runs.stages import select
from neuronspec.runs.tasks import fingerprint, tasks_of

LAPE_G = {
    "name": "lape-g",
    "semantics": "gradient",
    "criterion": "lape",
    "fraction": 0.2,
    "parameters": {"quantile": 0.5},
    "trainable": "neurons",
}


def tasks(*arms: Any, **sections: Any) -> dict[str, Any]:
    return {task.name: task for task in tasks_of(toy_recipe(arms=list(arms), **sections))}


def test_it_selects_by_its_own_criterion(tmp_path: Path) -> None:
    given = trained(tmp_path, "lape-g", arms=[LAPE_G], specialization={"components": "decoder"})
    masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
    expected = select_neurons(Activations.load(given.activations), LAPE(0.2, 0.5))
    assert masks.info.semantics == "gradient" and masks.sites == ("decoder.0", "decoder.1")[: len(masks.sites)]
    for direction, sites in masks.items():
        for site, mask in sites.items():
            assert torch.equal(mask, expected[direction][site])
    base, found = stored_weights(given.base), stored_weights(given.folder)
    changed = {name for name, value in found.items() if not torch.equal(value, base[name])}
    assert changed and all("decoder" in name and ".fc" in name for name in changed)


def test_replay_of_an_arm_s_own_needs_other_directions() -> None:
    arms = [{"name": "replay", "arm": "dense", "replay": 0.3}]
    assert toy_recipe(arms=arms, continuation={"updates": 2, "directions": ["en-de"]}).for_arm("replay")
    known = [str(one) for one in toy_recipe().corpus.all_directions]
    with pytest.raises(ValidationError, match="arms: replay: continuation.directions: all are named"):
        toy_recipe(arms=arms, continuation={"updates": 2, "directions": known})


@pytest.mark.parametrize(
    "selection",
    [
        {"criterion": "exclusive", "fraction": {"encoder": 0.2, "decoder": 0.4}},
        {"criterion": "mutual_information", "fraction": 0.2},
        {"criterion": "magnitude", "coverage": 0.5},  # reads the weights of the baseline
        {"criterion": "union", "parameters": {"of": ["cumulative", {"criterion": "exclusive", "fraction": 0.1}]}},
        {
            "criterion": "difference",
            "parameters": {"of": [{"criterion": "top_fraction", "fraction": 0.5}, "exclusive"]},
        },
    ],
    ids=lambda selection: selection["criterion"],
)
def test_every_criterion_makes_an_arm(tmp_path: Path, selection: dict[str, Any]) -> None:
    arms = [{"name": "mine", "semantics": "gradient", "trainable": "neurons"} | selection]
    given = trained(tmp_path, "mine", arms=arms, continuation={"updates": 2})
    masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
    assert masks == given.selected() and masks.info.semantics == "gradient"
    assert 0 < masks.sparsity() < 1


@pytest.mark.parametrize("arm", ["random", "magnitude", "top_fraction"])
def test_controls_have_the_sparsity_of_their_own_selection(tmp_path: Path, arm: str) -> None:
    given = trained(tmp_path, "control", arms=[{"name": "control", "arm": arm, "coverage": 0.3}])
    masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
    like = given.selected()
    assert like.sparsity() > NeuronMasks.load(tmp_path / "masks").sparsity()
    assert masks.sparsity() == pytest.approx(like.sparsity(), abs=0.02) and masks != like


def test_criteria_are_combined_and_read_the_weights_of_the_baseline(tmp_path: Path) -> None:
    largest = {"criterion": "magnitude", "parameters": {"like": {"criterion": "top_fraction", "fraction": 0.5}}}
    section = {"criterion": "difference", "parameters": {"of": [{"criterion": "lape", "fraction": 0.9}, largest]}}
    given = toy_given(tmp_path, "arm", arms=[{"name": "arm", **section}])
    acts, model = Activations.load(given.activations), load_model(given.base)
    expected = select_neurons(acts, LAPE(0.9)) - WeightMagnitude(select_neurons(acts, TopFraction(0.5))).masks(model)
    assert given.selected() == expected
    run = SimpleNamespace(paths=SimpleNamespace(**{key: getattr(given, key) for key in ("activations", "base")}))
    run.paths.masks, run.recipe = tmp_path / "again", toy_recipe(selection=section)
    select(run)  # type: ignore[arg-type]
    assert NeuronMasks.load(run.paths.masks) == expected


def test_what_a_recipe_says_of_its_own_criterion_is_not_taken_over() -> None:
    recipe = toy_recipe(
        arms=["specialized", {"name": "mine", "criterion": "cumulative", "coverage": 0.5}],
        selection={"criterion": "lape", "fraction": 0.3, "parameters": {"quantile": 0.5}, "statistic": "magnitude"},
    )
    own = recipe.for_arm("mine").selection
    assert (own.criterion, own.coverage, own.fraction, own.parameters) == ("cumulative", 0.5, None, None)
    assert own.statistic == "magnitude" and recipe.for_arm("specialized") is recipe


def test_tasks_depend_on_what_they_read() -> None:
    before = tasks("specialized", LAPE_G)
    assert before["specialize/lape-g"].needs == ("train", "record")
    assert before["specialize/specialized"].needs == ("train", "select")
    assert "evaluate/lape-g" in before
    after = tasks("specialized", LAPE_G | {"fraction": 0.3})
    renamed = tasks("specialized", LAPE_G | {"name": "other"})
    for name in before:
        same = fingerprint(before[name], before) == fingerprint(after[name], after)
        assert same == (name not in ("specialize/lape-g", "evaluate/lape-g", "evaluate", "report")), name
    assert renamed["specialize/other"].settings == before["specialize/lape-g"].settings
    faster = tasks({"name": "fast", "arm": "dense", "learning_rate": 0.01}, continuation={"learning_rate": 0.001})
    assert faster["specialize/fast"].settings["continuation"]["learning_rate"] == 0.01
    assert faster["specialize/dense"].settings["continuation"]["learning_rate"] == 0.001


def test_recipes_with_plain_names_have_the_tasks_that_they_had() -> None:
    settings = tasks("specialized")["specialize/specialized"].settings
    assert set(settings) == {"seed", "continuation", "specialization"}


def test_the_name_of_an_arm_is_that_arm() -> None:
    recipe = toy_recipe(arms=[{"name": "specialized", "semantics": "neuron"}, {"name": "x", "semantics": "neuron"}])
    assert recipe.arm_names == ["specialized", "x", "dense", "random"]
    assert recipe.arm_kinds == {"specialized", "dense", "random"}
    assert recipe.arm("x").kind == "specialized" and recipe.arm("random").kind == "random"
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"name": "dense", "arm": "random"},
            "the name 'dense' is that of an arm, and this is 'random': choose another",
        ),
        ({"name": "base"}, "can't be named 'base'"),
        ({"name": "../x"}, "letters from a to z, digits, .* a letter or digit first"),
        ({"name": "x", "semantics": "gradiant"}, "did you mean 'gradient'"),
        ({"name": "x", "criterion": "lap"}, "did you mean 'lape'"),
        ({"name": "x", "arm": "lorra"}, "did you mean 'lora'"),
        ({"name": "x", "criterion": "top_fraction"}, "arms: x: criterion top_fraction needs fraction"),
        ({"name": "x", "coverage": 2.0}, "coverage"),
        ({"name": "x", "parameters": {"quantile": 0.5}}, "arms: x: .*has no 'quantile'"),
    ],
)
def test_mistakes_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        toy_recipe(arms=[entry])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"arm": "dense", "criterion": "lape"}, "arms: x: the arm dense selects no neurons; leave criterion out"),
        ({"arm": "dense", "semantics": "gradient"}, "arms: x: the arm dense doesn't depend on semantics; leave it out"),
        ({"arm": "lora", "trainable": "ffn"}, "arms: x: the arm lora doesn't depend on trainable"),
    ],
)
def test_settings_that_mean_nothing_for_the_arm_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        arm_of(toy_recipe(arms=[{"name": "x"} | entry]), "x")
