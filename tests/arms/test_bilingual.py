"""New models for single directions: from scratch, by the training's settings, without the baseline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.toy_arm import counting, logits_of, toy_given, toy_recipe
from tests.helpers.toy_corpus import DE_EN, EN_DE
from tests.helpers.toy_training import SETTINGS, assert_same

from neuronspec.arms.arm import get_arm, make
from neuronspec.core.direction import Direction
from neuronspec.core.signals import Interrupted
from neuronspec.models.load import build_model, load_model
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import Task, tasks_of
from neuronspec.training.loss import any_direction
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.train import train

MODEL = {
    "preset": "tiny", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32,
}  # fmt: skip
BILINGUAL = {"directions": ["en-de", "de-en"], "updates": 4}
SECTIONS: dict[str, Any] = {"model": MODEL, "baselines": {"bilingual": BILINGUAL}}


def bilingual(folder: Path) -> Path:
    """Train the arm without a baseline; the arm's folder."""
    given = toy_given(folder, "bilingual", **SECTIONS)
    shutil.rmtree(given.base)
    make(get_arm("bilingual"), given)
    return given.folder


def test_each_model_is_trained_from_scratch_on_its_direction(tmp_path: Path) -> None:
    folder, given = bilingual(tmp_path), toy_given(tmp_path / "other", **SECTIONS)
    for direction in (EN_DE, DE_EN):
        train(
            build_model(given.recipe.model, given.store.tokenizer, given.recipe.seed),
            given.store.tokenizer,
            given.store,
            TrainingSettings(**SETTINGS | {"updates": 4, "warmup": 4}),  # of 5
            directions=[direction],
            seed=given.recipe.seed,
            folder=tmp_path / str(direction),
        )
        assert_same(folder / str(direction), tmp_path / str(direction))


def test_it_translates_its_directions_alone(tmp_path: Path) -> None:
    folder, given = bilingual(tmp_path), toy_given(tmp_path, "bilingual", **SECTIONS)
    assert get_arm("bilingual").directions(given.recipe) == [DE_EN, EN_DE]
    model, in_direction = get_arm("bilingual").load(given)
    for direction in (EN_DE, DE_EN, EN_DE):
        own = load_model(folder / str(direction))
        assert torch.equal(logits_of(model, in_direction, direction), logits_of(own, any_direction, direction))
    assert not torch.equal(logits_of(model, in_direction, EN_DE), logits_of(model, in_direction, DE_EN))


def test_what_it_costs(tmp_path: Path) -> None:
    folder = bilingual(tmp_path)
    cost = json.loads((folder / "cost.json").read_text())
    size = sum(parameter.numel() for parameter in load_model(folder / "en-de").parameters())
    assert (cost["trained_parameters"], cost["extra_parameters"]) == (2 * size, size)


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bilingual(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        counting(patch, 6)
        bilingual(tmp_path / "run")
    made = counting(monkeypatch)
    folder = bilingual(tmp_path / "run")
    assert made == ["en-de"] * 2
    for name in ("de-en", "en-de"):
        assert_same(folder / name, whole / name)


def task(recipe: Recipe) -> Task:
    return next(task for task in tasks_of(recipe) if task.name == "specialize/bilingual")


def test_only_its_own_settings_train_it_again() -> None:
    known = task(toy_recipe(arms=["bilingual"], **SECTIONS))
    assert known.needs == ("prepare",)
    others = {"continuation": {"updates": 9}, "specialization": {"rerecord_every": 3}}
    lass = {"baselines": {"bilingual": BILINGUAL, "lass": {"updates": 7}}}
    assert task(toy_recipe(arms=["bilingual"], **SECTIONS | others | lass)).settings == known.settings
    for changed in ({"baselines": {"bilingual": BILINGUAL | {"updates": 5}}}, {"continuation": {"seed": 5}}):
        assert task(toy_recipe(arms=["bilingual"], **SECTIONS | changed)).settings != known.settings


def test_recipes_that_it_cannot_run() -> None:
    for message, settings in {
        r"baselines\.bilingual\.directions: .*needs it\nbaselines\.bilingual\.updates: .*needs it": {},
        r"baselines\.bilingual\.directions: the arm bilingual needs it \[": {"updates": 3},
        "directions: fr-en isn't trained": {"updates": 3, "directions": ["fr-en"]},
        "directions: en-de is named twice": {"updates": 3, "directions": ["en-de", "en-de"]},
        "expected SOURCE-TARGET": {"updates": 3, "directions": ["ende"]},
    }.items():
        with pytest.raises(ValueError, match=message):
            toy_recipe(arms=["bilingual"], baselines={"bilingual": settings})


def test_arms_with_a_model_a_direction_dont_compose() -> None:
    recipe = toy_recipe(evaluation={"zero_shot": ["de-fr"]}, **SECTIONS)
    assert Direction("de", "fr") not in get_arm("bilingual").directions(recipe) + get_arm("finetune").directions(recipe)
    assert Direction("de", "fr") in get_arm("lass").directions(recipe)
