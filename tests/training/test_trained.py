"""What is trained, what is frozen, and in which type it is held."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import logits, toy_given, toy_recipe, trained
from tests.helpers.toy_corpus import EN_DE, toy_model, toy_tokenizer
from tests.helpers.toy_training import assert_same, toy_train

from neuronspec.core.errors import RecipeError, TrainingError
from neuronspec.models.batch import Batch
from neuronspec.models.settings import ModelSettings
from neuronspec.models.sites import find_ffn_sites
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import tasks_of
from neuronspec.training import checkpoint
from neuronspec.training.loss import batch_loss
from neuronspec.training.model_folder import export_model
from neuronspec.training.projected_loss import projected_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import prepare_step
from neuronspec.training.trained import tables_of, train_ffns_alone

FFN = {"trainable": "ffn"}


def half(seed: int = 0) -> Any:
    """A toy model in bfloat16 of which the FFNs are trained."""
    model = toy_model(seed, dtype=torch.bfloat16)
    train_ffns_alone(model)
    return model


@pytest.mark.parametrize("family", EACH)
def test_only_ffns_have_a_gradient(family: str) -> None:
    model = build_family(family).train()
    train_ffns_alone(model)
    layers = [layer for site in find_ffn_sites(model) for layer in (*site.ups, site.down)]
    expected = {id(parameter) for layer in layers for parameter in layer.parameters()}
    batch_loss(model, Batch(EN_DE, padded_inputs(model)), 0.1).smoothed.backward()
    assert {id(parameter) for parameter in model.parameters() if parameter.grad is not None} == expected


@pytest.mark.parametrize("family", EACH)
def test_frozen_embeddings_leave_the_gradient_of_the_rest(family: str) -> None:
    """With checkpointing too, which must not hang on inputs that need a gradient."""
    model = build_family(family, dtype=torch.float64).train()
    frozen = copy.deepcopy(model)
    settings = TrainingSettings(updates=1, freeze_embeddings=True, gradient_checkpointing=True)
    prepare_step(frozen, settings)
    batch = Batch(EN_DE, padded_inputs(model))
    for one in (model, frozen):
        batch_loss(one, batch, 0.1).smoothed.backward()
    tables = {id(table) for table in tables_of(frozen)}
    expected = dict(model.named_parameters())
    for name, parameter in frozen.named_parameters():
        if id(parameter) in tables:
            assert parameter.grad is None and parameter.shape[0] == model.config.vocab_size
        elif expected[name].grad is not None:
            assert torch.allclose(parameter.grad, expected[name].grad, rtol=1e-9, atol=1e-11), name
    assert tables


def test_no_gradient_is_computed_for_a_frozen_head() -> None:
    hidden, targets = torch.randn(7, 5, requires_grad=True), torch.tensor([0, 1, 2, 3, 4, 5, 6])
    weight = torch.randn(9, 5)
    frozen, _ = projected_loss(hidden, weight, None, targets, 0.1)
    assert frozen.grad_fn.gradients[1] is None
    frozen.backward()
    expected = hidden.grad.clone()
    hidden.grad = None
    projected_loss(hidden, weight.requires_grad_(), None, targets, 0.1)[0].backward()
    assert torch.equal(hidden.grad, expected) and weight.grad is not None


def test_trained_weights_are_float32_and_the_others_stay(tmp_path: Path) -> None:
    model, seen = half(), []
    model.model.encoder.register_forward_pre_hook(lambda *_: seen.append(types(model)), with_kwargs=False)
    toy_train(tmp_path, 3, model=model, precision="auto")
    during = seen[0]
    assert during["model.encoder.layers.0.fc1.weight"] == during["model.encoder.layer_norm.weight"] == torch.float32
    assert during["model.encoder.layers.0.self_attn.q_proj.weight"] == during["model.shared.weight"] == torch.bfloat16
    assert set(types(model).values()) == {torch.bfloat16}
    exported, start = load_file(tmp_path / "model.safetensors"), half().state_dict()
    changed = {name for name, value in exported.items() if not torch.equal(value, start[name])}
    assert changed and all(".fc" in name for name in changed)
    assert {value.dtype for value in exported.values()} == {torch.bfloat16}


def types(model: torch.nn.Module) -> dict[str, torch.dtype]:
    return {name: parameter.dtype for name, parameter in model.named_parameters()}


def test_checkpoints_hold_what_is_trained_in_float32(tmp_path: Path) -> None:
    toy_train(tmp_path, 3, model=half(), precision="auto")
    saved = load_file(tmp_path / "checkpoints" / "step-3" / "model.safetensors")
    moments = load_file(tmp_path / "checkpoints" / "step-3" / "optimizer.safetensors")
    assert {name for name in saved if "fc" not in name} == set()
    assert {value.dtype for value in saved.values()} == {torch.float32}
    assert {name.rpartition(".")[0] for name in moments} == set(saved)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_training_of_a_part_resumes_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    options = {"precision": "auto", "optimizer": optimizer, "gradient_checkpointing": True}
    toy_train(tmp_path / "one", 6, model=half(), **options)
    toy_train(tmp_path / "two", 3, model=half(), **options)
    toy_train(tmp_path / "two", 6, model=half(), **options)
    assert_same(tmp_path / "two", tmp_path / "one", fewest=20)


def test_a_checkpoint_without_a_trained_weight_is_damaged(tmp_path: Path) -> None:
    toy_train(tmp_path, 3, model=half(), precision="auto")
    with pytest.raises(checkpoint.DamagedCheckpoint, match="is missing"):
        checkpoint.restore_model(toy_model(), tmp_path / "checkpoints", 3)


def test_checkpoints_with_all_weights_are_read_by_trainings_of_a_part(tmp_path: Path) -> None:
    """Those of arms with adapters held the frozen baseline too."""
    toy_train(tmp_path, 3, model=toy_model())
    model = toy_model(seed=5)
    train_ffns_alone(model)
    before = {name: value.clone() for name, value in model.named_parameters()}
    checkpoint.restore_model(model, tmp_path / "checkpoints", 3)
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if ".fc" in name}


def test_float32_is_refused_beside_frozen_weights_of_bfloat16(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="model.dtype to float32"):
        toy_train(tmp_path, 3, model=half(), precision="float32")


@pytest.mark.parametrize("arm", ["dense", "specialized", "random"])
def test_arms_train_the_ffns_alone(tmp_path: Path, arm: str) -> None:
    given = trained(tmp_path, arm, specialization=FFN)
    own, base = stored_weights(given.folder), stored_weights(given.base)
    assert {name for name in base if not torch.equal(own[name], base[name])} == {name for name in base if ".fc" in name}


def test_new_masks_in_between_with_ffns_alone(tmp_path: Path) -> None:
    given = trained(tmp_path, "specialized", specialization=FFN | {"rerecord_every": 3})
    assert (given.folder / "masks-3.safetensors").is_file()


@pytest.mark.parametrize("arm", ["dense", "specialized", "adapters_direction", "lora", "lass", "finetune"])
def test_arms_of_a_baseline_in_bfloat16(tmp_path: Path, arm: str) -> None:
    """They are trained, saved and opened as such."""
    sections: dict[str, Any] = {"continuation": {"precision": "auto"}, "baselines": {"lass": {"updates": 2}}}
    if arm in ("dense", "specialized", "finetune"):
        sections["specialization"] = FFN
    toy_given(tmp_path, **sections)
    export_model(toy_model(dtype=torch.bfloat16), toy_tokenizer(), tmp_path / "base")
    given = trained(tmp_path, arm, **sections)
    found = logits(given, arm, EN_DE)
    assert found.dtype == torch.bfloat16 and torch.isfinite(found).all()
    weights = stored_weights(given.folder / "en-de" if arm == "finetune" else given.folder)
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}


def test_dtype_is_of_a_checkpoint() -> None:
    assert ModelSettings(pretrained="some/model", dtype="bfloat16").overrides == {}
    with pytest.raises(ValueError, match="dtype is of a pretrained checkpoint"):
        ModelSettings(dtype="bfloat16")


@pytest.mark.parametrize("change", ["precision: float32", "parallel: fsdp"])
def test_what_bfloat16_refuses(tmp_path: Path, change: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "name: toy\ncorpus: {train: {reader: catalogs}, languages: [de]}\n"
        f"model: {{pretrained: some/model, dtype: bfloat16}}\ncontinuation: {{updates: 3, {change}}}\n"
    )
    with pytest.raises(RecipeError, match=rf"continuation.{change.split(':')[0]}: .*or model.dtype to float32"):
        Recipe.load(path)


@pytest.mark.parametrize("section", ["recording", "evaluation"])
def test_bfloat16_gives_no_float32_without_gradients(tmp_path: Path, section: str) -> None:
    path = tmp_path / "recipe.yaml"
    text = (
        "name: toy\ncorpus: {train: {reader: catalogs}, languages: [de]}\n"
        "model: {pretrained: some/model, dtype: %s}\ncontinuation: {updates: 3}\n"
    )
    path.write_text(text % "bfloat16" + f"{section}: {{precision: float32}}\n")
    with pytest.raises(RecipeError, match=rf"{section}.precision: .*or model.dtype to float32"):
        Recipe.load(path)
    path.write_text(text % "float32" + f"{section}: {{precision: float32}}\n")
    Recipe.load(path)


def test_runs_from_before_the_setting_stay_up_to_date() -> None:
    """What the arm `dense` depends on is as it was, unless the FFNs alone are trained."""
    before, now = (
        next(task.settings for task in tasks_of(toy_recipe(specialization=section)) if task.name == "specialize/dense")
        for section in ({}, FFN)
    )
    assert set(before) == {"seed", "continuation"} and now["specialization.trainable"] == "ffn"
