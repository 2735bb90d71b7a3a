"""LoRA: it starts as the baseline, learns by direction, and has the parameters that one counts by hand."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.toy_arm import toy_given, toy_recipe, trained
from tests.helpers.toy_corpus import EN_DE, toy_model
from tests.helpers.toy_grouped import (
    comes_back_as_trained,
    composes,
    fresh,
    goes_on_to_the_same,
    is_the_baseline_at_first,
    learns_in_its_group_alone,
)

from neuronspec.arms.arm import get_arm
from neuronspec.arms.lora import linear_layers
from neuronspec.core.errors import MissingExtraError, ModelError, RecipeError
from neuronspec.recipe import Recipe

SMALL: dict[str, Any] = {"baselines": {"lora": {"rank": 2, "alpha": 8}}}
# in + out of every linear layer, 16 wide with an FFN of 24: 4 of attention and 2 of the FFN in the encoder's layer,
# 8 and 2 in the decoder's; times the rank.
ONE = 2 * ((4 * 32 + 2 * 40) + (8 * 32 + 2 * 40))


@pytest.fixture
def peft() -> Any:
    return pytest.importorskip("peft")


def test_it_is_the_baseline_at_first(tmp_path: Path, peft: Any) -> None:
    is_the_baseline_at_first(tmp_path, "lora", **SMALL)


def test_a_batch_teaches_its_direction_alone(tmp_path: Path, peft: Any) -> None:
    learns_in_its_group_alone(tmp_path, "lora", "en-de", **SMALL)


def test_it_comes_back_as_trained_over_a_frozen_base(tmp_path: Path, peft: Any) -> None:
    comes_back_as_trained(tmp_path, "lora", **SMALL)


def test_zero_shot_directions_take_the_encoder_of_one_and_the_decoder_of_another(tmp_path: Path, peft: Any) -> None:
    composes(tmp_path, "lora", **SMALL)


def test_training_that_was_stopped_ends_the_same(tmp_path: Path, peft: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on_to_the_same(tmp_path, "lora", monkeypatch, **SMALL)


def test_parameters_as_counted_by_hand(tmp_path: Path, peft: Any) -> None:
    given = trained(tmp_path, "lora", continuation={"updates": 1}, **SMALL)
    cost = json.loads((given.folder / "cost.json").read_text())
    assert cost["trained_parameters"] == cost["extra_parameters"] == 3 * ONE == 3 * 1088
    assert sum(value.numel() for value in load_file(given.folder / "lora.safetensors").values()) == 3 * ONE


def test_a_layer_computes_its_low_rank_update(tmp_path: Path, peft: Any) -> None:
    """W x + b + (alpha / rank) B A x, for the direction's A and B."""
    _, model, added, in_direction = fresh(tmp_path, "lora", **SMALL)
    name = "model.encoder.layers.0.fc1"
    layer, x = model.get_submodule(name), torch.randn(3, 16)
    down, up = added.parameters[f"en-de.{name}.A"], added.parameters[f"en-de.{name}.B"]
    with torch.no_grad(), in_direction(EN_DE):
        up.normal_()
        expected = layer.base_layer(x) + 8 / 2 * (x @ down.T @ up.T)
        torch.testing.assert_close(layer(x), expected)
        assert down.shape == (2, 16) and up.shape == (24, 2)


def test_files_that_are_missing_or_damaged(tmp_path: Path, peft: Any) -> None:
    given = trained(tmp_path, "lora", continuation={"updates": 1}, **SMALL)
    path = given.folder / "lora.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="damaged or not a file of lora"):
        get_arm("lora").load(given)
    path.unlink()
    with pytest.raises(ModelError, match="no such file of lora. Train the arm again"):
        get_arm("lora").load(given)


def test_all_linear_layers_of_both_sides_have_updates() -> None:
    model = toy_model()
    sides = linear_layers(model)
    assert Counter(sides.values()) == {"encoder": 6, "decoder": 10}
    others = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)} - set(sides)
    assert others == {"lm_head"}


@pytest.mark.parametrize(("key", "value"), [("rank", 0), ("alpha", 0)])
def test_a_rank_or_alpha_of_0_is_refused(tmp_path: Path, key: str, value: int) -> None:
    (tmp_path / "recipe.yaml").write_text(toy_recipe().to_yaml())
    with pytest.raises(RecipeError, match=rf"baselines\.lora\.{key}.*more than 0"):
        Recipe.load(tmp_path / "recipe.yaml", [f"baselines.lora.{key}={value}"])


def test_it_says_which_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"the arm 'lora' needs the package 'peft'.*neuronspec\[baselines\]"):
        get_arm("lora").train(toy_given(tmp_path, "lora"))
