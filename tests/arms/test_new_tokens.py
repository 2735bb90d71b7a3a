"""Where arms train the FFNs or neurons alone, the embeddings of tokens that are new to the baseline are trained too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import stopped_and_resumed, toy_given, toy_recipe, trained
from tests.helpers.toy_training import SETTINGS, assert_same

from neuronspec.arms.arm import read_cost
from neuronspec.models.dimensions import Dimensions
from neuronspec.models.footprint import Plan, footprint
from neuronspec.models.id_map import IdMap
from neuronspec.models.load import load_model
from neuronspec.recipe import Recipe
from neuronspec.training.optimization import Optimizer
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.trained import tables_of, train_ffns_alone, train_rows, trained_parameters

NEW: dict[str, Any] = {"model": {"pretrained": "some/model", "new_languages": {"fr": "de"}}, "training": None}
TABLE = "model.shared.weight"


def with_new_tokens(folder: Path, count: int = 2) -> list[int]:
    """Say of the baseline in a run folder that its last rows, and one in between, are of new tokens."""
    given = toy_given(folder)
    rows = load_model(given.base).config.vocab_size
    new = [7, *range(rows - count, rows)]
    IdMap(rows, [(3,) if one in new else one for one in range(rows)]).save(given.base)
    return new


@pytest.mark.parametrize("family", EACH)
def test_twenty_steps_are_those_of_masked_gradients(family: str) -> None:
    settings = TrainingSettings(updates=20, learning_rate=1e-2, warmup=1, schedule="constant", clip_norm=0)
    plain, ours = (build_family(family, dtype=torch.float64).train() for _ in range(2))
    rows = [4, 6, plain.get_input_embeddings().weight.shape[0] - 1]
    for model in (plain, ours):
        train_ffns_alone(model)
    parts = train_rows(ours, rows)
    for table in tables_of(plain):
        table.requires_grad_(True)
    start = [table.detach().clone() for table in tables_of(ours)]
    optimizer = Optimizer(ours, settings, parts=parts)
    reference = torch.optim.AdamW(
        [p for p in plain.parameters() if p.requires_grad], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0
    )
    for step in range(20):
        inputs = padded_inputs(plain, seed=step)
        plain(**inputs).loss.backward()
        for table in tables_of(plain):
            kept = torch.zeros_like(table)
            kept[rows] = 1
            table.grad.mul_(kept)
        reference.step()
        reference.zero_grad()
        ours(**inputs).loss.backward()
        optimizer.clip()
        optimizer.step(step + 1)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert (one - other).abs().max() < 1e-6
    for table, before in zip(tables_of(ours), start, strict=True):
        rest = [one for one in range(len(table)) if one not in rows]
        assert torch.equal(table[rest], before[rest]) and not torch.equal(table[rows], before[rows])
    state = optimizer.tensors()
    assert len(parts) == len(tables_of(ours))
    assert all(state[f"{name}.exp_avg"].shape[0] == len(rows) for name in parts)


@pytest.mark.parametrize("trainable", ["ffn", "neurons"])
@pytest.mark.parametrize("arm", ["specialized", "dense", "random", "finetune"])
def test_arms_train_the_rows_of_new_tokens(tmp_path: Path, arm: str, trainable: str) -> None:
    new = with_new_tokens(tmp_path)
    given = trained(tmp_path, arm, specialization={"semantics": "gradient", "trainable": trainable}, **NEW)
    folder = given.folder / "en-de" if arm == "finetune" else given.folder
    base, found = stored_weights(given.base), stored_weights(folder)
    changed = {name for name, value in found.items() if not torch.equal(value, base[name])}
    assert {name for name in changed if ".fc" not in name} == {TABLE}
    same = [bool(torch.equal(*two)) for two in zip(found[TABLE], base[TABLE], strict=True)]
    assert [place for place, equal in enumerate(same) if not equal] == new
    moments = load_file(next((folder / "checkpoints").rglob("optimizer.safetensors")))
    held = sum(value.numel() for name, value in moments.items() if name.endswith(".exp_avg"))
    models = len(given.directions) if arm == "finetune" else 1
    assert read_cost(given.folder).trained_parameters == models * held


@pytest.mark.parametrize("trainable", ["ffn", "neurons"])
@pytest.mark.parametrize(
    "sections",
    [
        NEW | {"training": SETTINGS | {"updates": 1}},
        NEW | {"continuation": {"freeze_embeddings": True}},
        {"training": None, "model": {"pretrained": "some/model"}},
    ],
    ids=["a training has trained them", "frozen", "no new tokens"],
)
def test_else_the_embeddings_stay(tmp_path: Path, trainable: str, sections: dict[str, Any]) -> None:
    if "new_languages" in sections["model"]:
        with_new_tokens(tmp_path)
    given = trained(tmp_path, "dense", specialization={"trainable": trainable}, **sections)
    assert torch.equal(stored_weights(given.folder)[TABLE], stored_weights(given.base)[TABLE])


def test_a_training_that_froze_them_has_not_trained_them(tmp_path: Path) -> None:
    with_new_tokens(tmp_path)
    training = SETTINGS | {"updates": 1, "freeze_embeddings": True}
    given = trained(tmp_path, "dense", specialization={"trainable": "ffn"}, **NEW | {"training": training})
    assert not torch.equal(stored_weights(given.folder)[TABLE], stored_weights(given.base)[TABLE])


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = NEW | {"specialization": {"semantics": "gradient", "trainable": "neurons"}}
    section |= {"continuation": {"save_every": 2}}
    with_new_tokens(tmp_path / "whole")
    with_new_tokens(tmp_path / "parts")
    whole = trained(tmp_path / "whole", "specialized", **section)
    parts = stopped_and_resumed(monkeypatch, tmp_path / "parts", "specialized", **section)
    assert_same(parts.folder, whole.folder, fewest=20)


def test_new_masks_in_between(tmp_path: Path) -> None:
    new = with_new_tokens(tmp_path)
    given = trained(tmp_path, "specialized", specialization={"trainable": "ffn", "rerecord_every": 3}, **NEW)
    found, base = stored_weights(given.folder)[TABLE], stored_weights(given.base)[TABLE]
    assert [place for place in range(len(base)) if not torch.equal(found[place], base[place])] == new


def test_shards_have_no_rows() -> None:
    sections: dict[str, Any] = NEW | {"specialization": {"trainable": "ffn"}}
    with pytest.raises(ValidationError, match="fsdp shards the embeddings.*set it to ddp"):
        toy_recipe(**sections, continuation={"parallel": "fsdp"})
    toy_recipe(**sections, continuation={"parallel": "fsdp", "freeze_embeddings": True})
    toy_recipe(**sections | {"training": SETTINGS | {"updates": 1}}, continuation={"parallel": "fsdp"})
    with pytest.raises(ValidationError, match="arms: mine: .*fsdp shards the embeddings"):
        toy_recipe(**NEW, arms=[{"name": "mine", "trainable": "ffn"}], continuation={"parallel": "fsdp"})


def test_the_memory_that_they_take() -> None:
    """The table and its gradient are float32, and the optimizer knows the rows alone."""
    recipe: Recipe = toy_recipe(**NEW)
    shape = Dimensions.of_settings(recipe.model.model_copy(update={"pretrained": None, "new_languages": {}}), 500)
    plan = Plan(0, dtype="bfloat16", trainable="ffn")
    without, with_rows = footprint(shape, plan), footprint(shape, replace(plan, rows=3))
    tables = shape.embeddings // shape.vocabulary
    assert with_rows.trained - without.trained == 3 * tables
    assert with_rows.weights - without.weights == 2 * shape.embeddings
    assert with_rows.gradients - without.gradients == 4 * shape.embeddings
    assert with_rows.state - without.state == 8 * 3 * tables
    assert with_rows.loss > without.loss
    assert footprint(shape, replace(plan, rows=3, freeze_embeddings=True)) == without
    assert footprint(shape, replace(plan, trainable="neurons")) == without


def test_the_footprint_counts_what_is_trained() -> None:
    model = build_family("m2m100")
    train_ffns_alone(model)
    shape = Dimensions.of_config(model.config.to_dict())
    assert shape is not None
    parts = train_rows(model, [4, 6])
    assert footprint(shape, Plan(0, trainable="ffn", rows=2)).trained == trained_parameters(model, parts)
