"""Masks that are found anew while training goes on: when, from which weights, and the same after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.toy_arm import counting, toy_recipe, trained
from tests.helpers.toy_training import assert_same

from neuronspec.arms.arm import Given
from neuronspec.core.signals import Interrupted
from neuronspec.models.load import load_model
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations, recording_batches
from neuronspec.neurons.selection import select_masks
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.training import checkpoint

UPDATES = 10
SECTIONS: dict[str, Any] = {
    "continuation": {"updates": UPDATES, "keep_checkpoints": 20, "learning_rate": 0.03},
    "specialization": {"rerecord_every": 4},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """The arm, never stopped."""
    return trained(tmp_path_factory.mktemp("whole"), "specialized", **SECTIONS)


def segment_masks(given: Given) -> dict[int, NeuronMasks]:
    files = given.folder.glob("masks-*.safetensors")
    return {int(file.stem.removeprefix("masks-")): NeuronMasks.load(file) for file in files}


def best_update(given: Given) -> int:
    root = given.folder / "checkpoints"
    best = checkpoint.read_record(root, checkpoint.updates_saved(root)[-1])["state"].best_update
    assert best is not None
    return best


def test_each_segment_has_the_masks_of_the_weights_that_it_begins_with(whole: Given) -> None:
    masks = segment_masks(whole)
    assert sorted(masks) == [0, 4, 8]
    assert masks[0] == NeuronMasks.load(whole.masks)
    assert masks[4] != masks[0] and masks[8] != masks[4]
    for update in (4, 8):
        model = load_model(whole.base)
        checkpoint.restore_model(model, whole.folder / "checkpoints", update)
        activations = record_activations(
            model, recording_batches(whole.store, whole.directions, whole.recipe.recording)
        )
        assert masks[update] == select_masks(activations, whole.recipe.selection, whole.recipe.corpus)


def test_the_masks_beside_the_weights_are_those_of_the_best_update(whole: Given, tmp_path: Path) -> None:
    best = best_update(whole)
    assert NeuronMasks.load(whole.folder / MASKS_FILE) == segment_masks(whole)[(best - 1) // 4 * 4]
    diverging = SECTIONS["continuation"] | {"learning_rate": 3.0, "validate_every": 2}
    given = trained(tmp_path, "specialized", **SECTIONS | {"continuation": diverging})
    assert best_update(given) <= 4
    masks = segment_masks(given)
    assert NeuronMasks.load(given.folder / MASKS_FILE) == masks[0] != masks[8]
    assert NeuronMasks.load(given.folder / MASKS_FILE).info.semantics == "weight"


def test_the_time_of_recording_is_part_of_preparing(whole: Given) -> None:
    cost = json.loads((whole.folder / "cost.json").read_text())
    seconds = json.loads((whole.folder / "rerecording.json").read_text())
    assert list(seconds) == ["4", "8"]
    assert cost["prepare_seconds"] == sum(seconds.values()) > 0


@pytest.mark.parametrize("every", [UPDATES, UPDATES + 5])
def test_without_a_second_segment_it_is_the_plain_arm(tmp_path: Path, every: int) -> None:
    continuation = {"continuation": SECTIONS["continuation"]}
    plain = trained(tmp_path / "plain", "specialized", **continuation)
    given = trained(tmp_path / "run", "specialized", **continuation, specialization={"rerecord_every": every})
    assert_same(given.folder, plain.folder)
    assert NeuronMasks.load(given.folder / MASKS_FILE) == NeuronMasks.load(plain.folder / MASKS_FILE)


@pytest.mark.parametrize("stop", [4, 5, 10])
def test_stopped_and_resumed_it_ends_the_same(
    tmp_path: Path, whole: Given, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Within a segment, and at its last update, whose validation is still to come."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        counting(patch, stop)
        trained(tmp_path, "specialized", **SECTIONS)
    made = counting(monkeypatch)
    given = trained(tmp_path, "specialized", **SECTIONS)
    assert len(made) == UPDATES - stop
    assert_same(given.folder, whole.folder)
    assert segment_masks(given) == segment_masks(whole)
    assert NeuronMasks.load(given.folder / MASKS_FILE) == NeuronMasks.load(whole.folder / MASKS_FILE)


def test_a_damaged_checkpoint_leads_back_to_the_segment_before(
    tmp_path: Path, whole: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = trained(tmp_path, "specialized", **SECTIONS)
    root = given.folder / "checkpoints"
    for update in checkpoint.updates_saved(root):
        if update > 3:
            (root / f"step-{update}" / "optimizer.safetensors").write_bytes(b"cut")
    made = counting(monkeypatch)
    trained(tmp_path, "specialized", **SECTIONS)
    assert len(made) == UPDATES - 3
    assert_same(given.folder, whole.folder)


def test_its_budget_counts_updates() -> None:
    with pytest.raises(ValueError, match=r"rerecord_every: counts updates, so continuation\.updates must give"):
        toy_recipe(continuation={"updates": None, "epochs": 1}, specialization={"rerecord_every": 3})


def test_a_schedule_over_the_budget_does_not_go_with_segments() -> None:
    with pytest.raises(ValueError, match=r"rerecord_every: trains in segments, which continuation\.schedule: cosine"):
        toy_recipe(continuation={"schedule": "cosine"}, specialization={"rerecord_every": 3})
