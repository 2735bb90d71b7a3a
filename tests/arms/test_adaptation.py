"""Adaptation: arms train on some directions; and the mean with the baseline, its competitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import logits, logits_of, toy_recipe, trained
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR

from neuronspec.arms.arm import arm_of, read_cost
from neuronspec.models.load import load_model
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import tasks_of
from neuronspec.specialization.model_state import specialization_of
from neuronspec.training.log import read_log
from neuronspec.training.loss import any_direction
from neuronspec.training.trained import parts_of_neurons

ADAPTED: dict[str, Any] = {"continuation": {"directions": ["de-en", "en-de"]}}


def of_base(folder: Path, direction: Any) -> torch.Tensor:
    return logits_of(load_model(folder / "base"), any_direction, direction)


@pytest.mark.parametrize("arm", ["dense", "specialized", "random"])
def test_an_arm_sees_the_adapted_directions_alone(tmp_path: Path, arm: str) -> None:
    given = trained(tmp_path, arm, **ADAPTED)
    lines = read_log(given.folder / "log.jsonl")
    start = next(line for line in lines if line["kind"] == "start")
    assert set(start["directions"]) == {"de-en", "en-de"}
    assert set(next(line for line in lines if line["kind"] == "validation")["losses"]) == {"de-en", "en-de"}
    if arm != "dense":
        masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
        assert set(masks) == {"de-en", "en-de", "en-fr"}


def test_neurons_of_other_directions_alone_stay(tmp_path: Path) -> None:
    section = {"semantics": "gradient", "trainable": "neurons"}
    given = trained(tmp_path, "specialized", specialization=section, continuation={"directions": ["en-de"]})
    masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
    base, found = stored_weights(given.base), stored_weights(given.folder)
    for name, part in parts_of_neurons(load_model(given.base), masks.selected_by(["en-de"])).items():
        rest = torch.ones_like(found[name])
        part.put(rest, torch.zeros_like(part.of(rest)))
        assert torch.equal(found[name] * rest, base[name] * rest) and not torch.equal(found[name], base[name])


def test_replayed_directions_are_trained_on_and_do_not_decide(tmp_path: Path) -> None:
    section = {"semantics": "gradient", "trainable": "neurons"}
    given = trained(
        tmp_path, "specialized", specialization=section, continuation={"directions": ["en-de"], "replay": 0.4}
    )
    lines = read_log(given.folder / "log.jsonl")
    shares = {name: one["probability"] for name, one in next(iter(lines))["directions"].items()}
    assert shares["en-de"] == pytest.approx(0.6) and sum(shares.values()) == pytest.approx(1)
    assert set(next(line for line in lines if line["kind"] == "validation")["losses"]) == {"en-de"}
    masks = NeuronMasks.load(given.folder / "neuron_masks.safetensors")
    parts = parts_of_neurons(load_model(given.base), masks.selected_by(masks))
    assert read_cost(given.folder).trained_parameters == sum(
        part.of(stored_weights(given.base)[name]).numel() for name, part in parts.items()
    )


@pytest.mark.parametrize("arm", ["finetune", "lora", "adapters_direction"])
def test_arms_with_parameters_by_direction_leave_the_others_as_they_were(tmp_path: Path, arm: str) -> None:
    given = trained(tmp_path, arm, **ADAPTED)
    assert torch.allclose(logits(given, arm, EN_FR), of_base(tmp_path, EN_FR), atol=1e-5)
    for direction in (EN_DE, DE_EN):
        assert not torch.allclose(logits(given, arm, direction), of_base(tmp_path, direction), atol=1e-3)


@pytest.mark.parametrize(
    ("continuation", "message"),
    [
        ({"directions": ["en-ed"]}, "en-ed"),
        ({"directions": ["en-it"]}, "continuation.directions: en-it isn't trained"),
        ({"directions": ["en-de", "en-deu"]}, "continuation.directions: en-de is named twice"),
        ({"replay": 0.1}, "replay draws from the directions that aren't adapted"),
        ({"directions": ["en-de", "de-en", "en-fr"], "replay": 0.1}, "replay has nothing to draw from"),
        ({"directions": ["en-de"], "weights": {"en-de": 1, "de-en": 1, "en-fr": 1}}, "continuation.weights"),
    ],
)
def test_mistaken_directions_are_refused(continuation: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        toy_recipe(continuation=continuation)


def test_directions_are_spelled_as_the_recipe_spells_them() -> None:
    recipe = toy_recipe(continuation={"directions": ["eng_Latn-deu_Latn"]})
    assert recipe.continuation.directions == ["en-de"] and recipe.adapted_directions == [EN_DE]


def test_what_does_not_fit_an_adaptation_is_refused() -> None:
    with pytest.raises(ValidationError, match="the arm lass makes a sub-network for every direction"):
        toy_recipe(arms=["lass"], baselines={"lass": {"updates": 1}}, **ADAPTED)


def test_runs_without_adaptation_have_the_settings_that_they_had() -> None:
    task = next(task for task in tasks_of(toy_recipe()) if task.name == "specialize/dense")
    assert not {"directions", "replay"} & set(task.settings["continuation"])


AVERAGED = {"name": "averaged-0.25", "arm": "averaged", "of": "dense", "average_with_base": 0.25}


def test_the_mean_with_the_baseline(tmp_path: Path) -> None:
    dense = trained(tmp_path, "dense")
    given = trained(tmp_path, "averaged-0.25", arms=[AVERAGED])
    base, theirs, found = (stored_weights(each) for each in (dense.base, dense.folder, given.folder))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, 0.25 * base[name] + 0.75 * theirs[name])
    assert read_cost(given.folder).trained_parameters == 0
    assert not torch.equal(logits(given, "averaged", EN_DE), logits(dense, "dense", EN_DE))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_ends_of_the_mean(tmp_path: Path, alpha: float) -> None:
    dense = trained(tmp_path, "dense")
    given = trained(tmp_path, "averaged", arms=["averaged"], baselines={"averaged": {"base": alpha}})
    expected = logits(dense, "dense", EN_DE) if alpha == 0 else of_base(tmp_path, EN_DE)
    assert torch.allclose(logits(given, "averaged", EN_DE), expected, atol=1e-5)


def test_the_mean_keeps_the_masks_of_the_arm_and_what_they_do(tmp_path: Path) -> None:
    arms = [{"name": "mine", "semantics": "neuron", "coverage": 0.4}, AVERAGED | {"of": "mine"}]
    mine = trained(tmp_path, "mine", arms=arms)
    given = trained(tmp_path, "averaged-0.25", arms=arms)
    model, _ = arm_of(toy_recipe(arms=arms), "averaged-0.25")[0].load(given)
    state = specialization_of(model)
    assert state.semantics == "neuron"
    assert state.masks == NeuronMasks.load(mine.folder / "neuron_masks.safetensors")


def test_a_mean_comes_after_its_arm() -> None:
    recipe = toy_recipe(arms=[AVERAGED, "specialized"])
    names = [task.name for task in tasks_of(recipe)]
    assert names.index("specialize/averaged-0.25") > names.index("specialize/dense")
    tasks = {task.name: task for task in tasks_of(recipe)}
    assert tasks["specialize/averaged-0.25"].needs == ("train", "specialize/dense")
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (
            [AVERAGED | {"of": "dens"}],
            "arms: averaged-0.25: of: there is no arm 'dens' to average; did you mean 'dense'",
        ),
        ([AVERAGED | {"of": "averaged-0.25"}], "averaged-0.25 can't be averaged with the baseline"),
        (
            [AVERAGED | {"of": "lora"}, "lora"],
            "lora can't be averaged with the baseline; choose one of dense, random",
        ),
        ([AVERAGED | {"average_with_base": 2.0}], "average_with_base"),
    ],
)
def test_means_of_what_cannot_be_averaged_are_refused(arms: list[Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        toy_recipe(arms=arms)
