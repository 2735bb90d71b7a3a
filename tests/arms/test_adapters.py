"""Adapters: where they sit, what they learn from, how many parameters they have, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.families import PAD, build_family
from tests.helpers.toy_arm import DIRECTIONS, toy_given, toy_recipe, trained
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, toy_model
from tests.helpers.toy_grouped import (
    DE_FR,
    comes_back_as_trained,
    composes,
    goes_on_to_the_same,
    is_the_baseline_at_first,
    learns_in_its_group_alone,
)

from neuronspec.arms.adapters import MatchedAdapters, total_parameters
from neuronspec.arms.arm import get_arm
from neuronspec.arms.bottleneck import Adapter, Adapters, adapter_parameters
from neuronspec.arms.grouped import Route, compose
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, RecipeError, TrainingError
from neuronspec.core.processes import Processes
from neuronspec.models.layers import find_layers
from neuronspec.runs.tasks import tasks_of

ARMS = ("adapters_direction", "adapters_family", "adapters_matched")
SMALL: dict[str, Any] = {"baselines": {"adapters": {"bottleneck": 4}}}
ONE = 2 * 16 + (16 * 4 + 4) + (4 * 16 + 16)  # norm, down, up of one adapter, 16 wide, bottleneck 4: 180


@pytest.mark.parametrize("name", ARMS)
def test_it_is_the_baseline_at_first(tmp_path: Path, name: str) -> None:
    is_the_baseline_at_first(tmp_path, name, **SMALL)


@pytest.mark.parametrize(("name", "group"), [("adapters_direction", "en-de"), ("adapters_family", "Germanic")])
def test_a_batch_teaches_its_group_alone(tmp_path: Path, name: str, group: str) -> None:
    learns_in_its_group_alone(tmp_path, name, group, **SMALL)


@pytest.mark.parametrize("name", ARMS)
def test_it_comes_back_as_trained_over_a_frozen_base(tmp_path: Path, name: str) -> None:
    comes_back_as_trained(tmp_path, name, **SMALL)


@pytest.mark.parametrize("name", ARMS[:2])
def test_zero_shot_directions_take_the_encoder_of_one_and_the_decoder_of_another(tmp_path: Path, name: str) -> None:
    composes(tmp_path, name, **SMALL)


def test_training_that_was_stopped_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on_to_the_same(tmp_path, "adapters_direction", monkeypatch, **SMALL)


# One layer a side: 3 directions, or 2 families. 2 * 2 * (33 b + 48) is nearest to 1080 at b = 7.
@pytest.mark.parametrize(("name", "count"), zip(ARMS, (3 * 2 * ONE, 2 * 2 * ONE, 2 * 2 * (33 * 7 + 48)), strict=True))
def test_parameters_as_counted_by_hand(tmp_path: Path, name: str, count: int) -> None:
    given = trained(tmp_path, name, continuation={"updates": 1}, **SMALL)
    cost = json.loads((given.folder / "cost.json").read_text())
    assert cost["trained_parameters"] == cost["extra_parameters"] == count
    assert sum(value.numel() for value in load_file(given.folder / "adapters.safetensors").values()) == count


@pytest.mark.parametrize("bottleneck", [1, 5, 64])
def test_no_other_bottleneck_matches_better(bottleneck: int) -> None:
    recipe, model = toy_recipe(baselines={"adapters": {"bottleneck": bottleneck}}), toy_model()
    wanted = total_parameters(model, get_arm("adapters_direction").groups(recipe), bottleneck)  # type: ignore[attr-defined]
    arm = MatchedAdapters()
    found = arm.bottleneck(recipe, model)
    distances = {b: abs(total_parameters(model, arm.groups(recipe), b) - wanted) for b in range(1, 4 * bottleneck)}
    assert distances[found] == min(distances.values())


def test_an_adapter_computes_what_it_says() -> None:
    adapter, x = Adapter(16, 4, seed=3), torch.randn(2, 5, 16)
    assert torch.equal(adapter(x), x)
    assert sum(value.numel() for value in adapter.parameters()) == adapter_parameters(16, 4) == ONE
    torch.nn.init.normal_(adapter.up.weight)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = x + (normed @ adapter.down.weight.T).clamp(min=0) @ adapter.up.weight.T
    torch.testing.assert_close(adapter(x), expected)


@pytest.mark.parametrize(("family", "count"), [("bart", 5), ("marian", 5), ("t5", 4), ("mt5", 4)])
def test_every_layer_of_other_models_gets_one(family: str, count: int) -> None:
    model = build_family(family).eval()
    ids = torch.tensor([[5, 6, 7], [8, 9, PAD]])
    with torch.no_grad():
        plain = model(input_ids=ids, decoder_input_ids=ids).logits
        adapters = Adapters(model, ["a"], ["b"], 3, seed=1)
        adapters.use(Route("a", "b"))
        assert torch.equal(model(input_ids=ids, decoder_input_ids=ids).logits, plain)
        layers = find_layers(model)
        assert len(layers) == count and len({id(layer.module) for layer in layers}) == count
        for layer in layers:
            adapter = layer.module.adapters[0]
            torch.nn.init.normal_(adapter.up.weight)
            changed = model(input_ids=ids, decoder_input_ids=ids).logits
            assert not torch.allclose(changed, plain, atol=1e-4), layer.name
            torch.nn.init.zeros_(adapter.up.weight)
        adapters.use(None)
        assert torch.equal(model(input_ids=ids, decoder_input_ids=ids).logits, plain)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2", "opt", "bloom", "gpt-neox"])
def test_every_layer_of_a_model_without_an_encoder_gets_one(family: str) -> None:
    """Its layers have the decoder's groups."""
    model = build_family(family).eval()
    ids = torch.tensor([[5, 6, 7], [8, 9, 3]])
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        adapters = Adapters(model, ["a"], ["b", "c"], 3, seed=1)
        assert {name.split(".")[0] for name in adapters.parameters} == {"b", "c"}
        for layer in find_layers(model):
            assert layer.side == "decoder"
            adapter = layer.module.adapters[1]
            torch.nn.init.normal_(adapter.up.weight)
            adapters.use(Route("a", "c"))
            assert not torch.allclose(model(input_ids=ids).logits, plain, atol=1e-4), layer.name
            adapters.use(Route("a", "b"))
            assert torch.equal(model(input_ids=ids).logits, plain), layer.name
            torch.nn.init.zeros_(adapter.up.weight)


def test_families_of_directions_with_and_without_the_pivot() -> None:
    arm, recipe = get_arm("adapters_family"), toy_recipe()
    routes = {one: arm.route(recipe, one) for one in (EN_DE, DE_EN, EN_FR, DE_FR)}  # type: ignore[attr-defined]
    assert routes == {
        EN_DE: ("Germanic", "Germanic"),
        DE_EN: ("Germanic", "Germanic"),
        EN_FR: ("Romance", "Romance"),
        DE_FR: ("Germanic", "Romance"),
    }


def test_a_route_is_composed_over_the_pivot() -> None:
    trained_ones = [Direction.parse(one) for one in ("de-cs", "cs-fr", "de-en", "en-fr")]
    routes = {one: Route(str(one), str(one)) for one in trained_ones}
    assert compose(routes, DE_FR, "en") == ("de-en", "en-fr")
    assert compose(routes, DE_FR, "cs") == ("de-cs", "cs-fr")
    with pytest.raises(DirectionError, match="de-fr can't be composed: de-nl and nl-fr aren't both trained"):
        compose(routes, DE_FR, "nl")
    with pytest.raises(DirectionError, match="fr-de can't be composed"):
        compose(routes, DE_FR.reverse(), "en")


def test_a_change_of_other_settings_runs_nothing_again() -> None:
    def settings(arm: str, **baselines: Any) -> dict[str, Any]:
        recipe = toy_recipe(arms=list(ARMS), baselines=baselines)
        return next(task.settings for task in tasks_of(recipe) if task.name == f"specialize/{arm}")

    assert settings("adapters_direction") == settings("adapters_direction", lora={"rank": 3})
    assert settings("adapters_direction") != settings("adapters_direction", adapters={"bottleneck": 3})
    assert settings("dense") == settings("dense", adapters={"bottleneck": 3})
    assert settings("adapters_family")["corpus.families"] == {}


def test_mixed_batches_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="continuation.mix_directions is true"):
        trained(tmp_path, "adapters_direction", continuation={"mix_directions": True})
    recipe = toy_recipe(arms=["adapters_family"], continuation={"mix_directions": True})
    with pytest.raises(RecipeError, match="one direction per batch"):
        tasks_of(recipe)
    _, in_direction = get_arm("adapters_direction").load(trained(tmp_path, "adapters_direction", **SMALL))
    with pytest.raises(TrainingError, match="one direction per batch"), in_direction([EN_DE, DE_EN]):
        pass
    with pytest.raises(DirectionError, match="not made for de-fr; it has de-en, en-de, en-fr"), in_direction(DE_FR):
        pass


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuronspec.arms.grouped.processes", lambda: Processes(rank=0, size=2))
    with pytest.raises(TrainingError, match="trains in one process"):
        get_arm("adapters_direction").train(toy_given(tmp_path, "adapters_direction"))


def test_files_that_are_missing_damaged_or_of_something_else(tmp_path: Path) -> None:
    given = trained(tmp_path, "adapters_direction", continuation={"updates": 1}, **SMALL)
    arm, path = get_arm("adapters_direction"), given.folder / "adapters.safetensors"
    whole = path.read_bytes()
    with pytest.raises(ModelError, match="is of other directions or families than the recipe's"):
        get_arm("adapters_family").load(replace(given, recipe=toy_recipe(**SMALL)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or not a file of adapters"):
        arm.load(given)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="not a file of adapters"):
        arm.load(given)
    metadata = {"format": "neuronspec.adapters", "version": "1"}
    names = tuple(sorted(map(str, DIRECTIONS)))
    header = {"encoder": names, "decoder": names, "bottleneck": 5}
    path.write_bytes(whole)
    save_file(load_file(path), path, metadata=metadata | {"header": json.dumps(header)})
    with pytest.raises(ModelError, match=r"doesn't fit the model beside it: de-en.decoder.0.down.bias is missing"):
        arm.load(given)
    path.unlink()
    with pytest.raises(ModelError, match="adapters.safetensors: no such file of adapters. Train the arm again"):
        arm.load(given)
