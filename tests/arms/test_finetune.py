"""A model for each direction: its share of the budget, trained as if it were alone, read back when asked for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.toy_arm import DIRECTIONS, counting, logits_of, toy_given, trained
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR
from tests.helpers.toy_training import SIZES, assert_same

from neuronspec.arms.arm import get_arm, make, read_cost
from neuronspec.arms.own_models import Finetune, divided
from neuronspec.batching.sampling import sampling_probabilities
from neuronspec.batching.stream import TrainingBatches
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError
from neuronspec.core.signals import Interrupted
from neuronspec.models.load import load_model
from neuronspec.models.text_format import TextFormat
from neuronspec.training.loss import any_direction


def test_updates_are_divided_by_share() -> None:
    shares = {EN_DE: 0.55, DE_EN: 0.35, EN_FR: 0.1}
    assert divided(10, shares) == {EN_DE: 5, DE_EN: 4, EN_FR: 1}  # 5.5, 3.5, 1: the first of equals by name, de-en
    assert divided(9, shares) == {EN_DE: 5, DE_EN: 3, EN_FR: 1}
    assert divided(2, shares) == {EN_DE: 1, DE_EN: 1, EN_FR: 1}
    assert divided(50, {EN_DE: 0.98, DE_EN: 0.01, EN_FR: 0.01}) == {EN_DE: 48, DE_EN: 1, EN_FR: 1}
    for updates in range(3, 60):
        parts = divided(updates, shares)
        assert sum(parts.values()) == updates
        assert all(part >= 1 and abs(part - updates * shares[one]) < 1.2 for one, part in parts.items())


def test_budgets_sum_to_the_continuations(tmp_path: Path) -> None:
    given = toy_given(tmp_path, continuation={"updates": 31, "temperature": 2.0, "warmup": 9})
    settings = Finetune().settings(given)
    assert sum(one.updates or 0 for one in settings.values()) == 31
    for direction, share in sampling_probabilities(SIZES, 2.0).items():
        updates, warmup = settings[direction].updates, settings[direction].warmup
        assert updates is not None and abs(updates - 31 * share) < 1
        assert warmup == min(9, updates)
    weights = {"en-de": 1, "de-en": 1, "en-fr": 3}
    settings = Finetune().settings(toy_given(tmp_path, continuation={"updates": 10, "weights": weights}))
    assert {str(one): own.updates for one, own in settings.items()} == {"de-en": 2, "en-de": 2, "en-fr": 6}
    assert all(own.weights is None for own in settings.values())


def test_as_many_batches_as_the_continuation_draws_where_it_samples_sentences(tmp_path: Path) -> None:
    """Long sentences take more batches than their share of sentences says."""
    given = toy_given(tmp_path, continuation={"updates": 400, "sample": "sentences", "temperature": 1.0})
    given.store.pairs("train", EN_DE).pairs[:] = [(np.full(20, 5), np.full(20, 5))] * SIZES[EN_DE]
    text_format = TextFormat.of(given.store.tokenizer, given.directions)
    batches = TrainingBatches(given.store, given.directions, text_format, given.recipe.continuation, given.seed)
    drawn = Counter(batches.draw().directions[0] for _ in range(400))
    assert drawn[EN_DE] > 1.1 * 400 * batches.probabilities[EN_DE]
    for direction, own in Finetune().settings(given).items():
        assert own.updates == pytest.approx(drawn[direction], abs=5)


@pytest.mark.parametrize(
    ("section", "part"),
    [({}, 1.0), ({"specialization": {"trainable": "ffn"}}, 0.0), ({"continuation": {"freeze_embeddings": True}}, 0.0)],
)
def test_its_cost_is_that_of_one_dense_model_for_each_direction(
    tmp_path: Path, section: dict[str, Any], part: float
) -> None:
    dense, finetune = (
        read_cost(trained(tmp_path, name, arms=["dense", "finetune"], **section).folder)
        for name in ("dense", "finetune")
    )
    size = load_model(tmp_path / "base").num_parameters()
    assert finetune.trained_parameters == len(SIZES) * dense.trained_parameters
    assert (dense.trained_parameters == size) == (part == 1)
    assert finetune.extra_parameters == (len(SIZES) - 1) * size


def test_directions_that_keep_the_baseline_need_it_beside_the_models(tmp_path: Path) -> None:
    given = trained(tmp_path, "finetune", arms=["finetune"], continuation={"directions": ["en-de"]})
    cost, size = read_cost(given.folder), load_model(given.base).num_parameters()
    assert (cost.trained_parameters, cost.extra_parameters) == (size, size)


def test_budgets_in_epochs_and_minutes(tmp_path: Path) -> None:
    epochs = Finetune().settings(toy_given(tmp_path, continuation={"updates": None, "epochs": 2}))
    assert all(own.epochs is None and own.updates for own in epochs.values())
    minutes = Finetune().settings(toy_given(tmp_path, continuation={"updates": None, "minutes": 3}))
    assert sum(own.minutes or 0 for own in minutes.values()) == pytest.approx(3)


def test_a_direction_is_trained_as_if_it_were_alone(tmp_path: Path) -> None:
    given = trained(tmp_path, "finetune")
    for direction, settings in Finetune().settings(given).items():
        corpus = {"train": {"reader": "catalogs"}, "languages": ["de", "fr"], "directions": [str(direction)]}
        budget = {"updates": settings.updates, "warmup": settings.warmup}
        alone = toy_given(tmp_path, f"dense-{direction}", corpus=corpus, continuation=budget)
        make(get_arm("dense"), alone)
        assert_same(given.folder / str(direction), alone.folder)


def test_each_direction_is_computed_by_its_own_model(tmp_path: Path) -> None:
    given = trained(tmp_path, "finetune")
    model, in_direction = get_arm("finetune").load(given)
    expected = {d: logits_of(load_model(given.folder / str(d)), any_direction, d) for d in DIRECTIONS}
    for direction in (*DIRECTIONS, *DIRECTIONS):
        assert torch.equal(logits_of(model, in_direction, direction), expected[direction])
    assert not torch.equal(
        logits_of(load_model(given.folder / "en-de"), any_direction, EN_FR),
        logits_of(load_model(given.folder / "en-fr"), any_direction, EN_FR),
    )
    with pytest.raises(DirectionError, match="no model for direction de-fr"):
        in_direction(Direction("de", "fr"))
    with pytest.raises(DirectionError, match="mixes directions"):
        in_direction([EN_DE, EN_FR])


def test_what_it_costs(tmp_path: Path) -> None:
    given = trained(tmp_path, "finetune")
    cost = json.loads((given.folder / "cost.json").read_text())
    size = sum(parameter.numel() for parameter in load_model(given.base).parameters())
    assert (cost["trained_parameters"], cost["extra_parameters"]) == (3 * size, 2 * size)
    assert cost["update_seconds"] > 0 and cost["prepare_seconds"] == 0


def test_it_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole", "finetune", continuation={"updates": 9})
    parts = {str(one): own.updates or 0 for one, own in Finetune().settings(whole).items()}
    assert list(parts) == ["de-en", "en-de", "en-fr"]
    stop = parts["de-en"] + 2  # in the second direction
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        counting(patch, stop)
        trained(tmp_path / "run", "finetune", continuation={"updates": 9})
    made = counting(monkeypatch)
    given = trained(tmp_path / "run", "finetune", continuation={"updates": 9})
    assert made == ["en-de"] * (parts["en-de"] - 2) + ["en-fr"] * parts["en-fr"]
    for name in parts:
        assert_same(given.folder / name, whole.folder / name)


def test_each_direction_is_a_run_of_its_own_in_trackers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trained(tmp_path, "finetune", tracking=["tensorboard"])
    runs = tmp_path / "tracking" / "tensorboard"
    assert {path.parent.relative_to(runs).as_posix() for path in runs.rglob("*tfevents*")} == {
        f"finetune/{direction}" for direction in DIRECTIONS
    }
    assert not list((tmp_path / "arms").rglob("tracking"))
