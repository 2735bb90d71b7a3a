"""Sub-networks: which weights are left out, what training with them is, and that nothing left out is 'dense'."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.toy_arm import DIRECTIONS, counting, logits, logits_of, toy_given, toy_recipe, trained
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, toy_model

from neuronspec.arms.arm import get_arm
from neuronspec.arms.lass import InSubNetwork
from neuronspec.arms.weight_masks import WEIGHT_MASKS_FILE, WeightMasks, largest, matrices
from neuronspec.batching.in_order import eval_batches
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, MaskError, RecipeError
from neuronspec.core.signals import Interrupted
from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.models.load import load_model
from neuronspec.runs.tasks import tasks_of
from neuronspec.training.loss import any_direction, batch_loss

RATE = 0.3
LASS = {"lass": {"updates": 3, "pruning_rate": RATE}}
DE_FR = Direction("de", "fr")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a trained arm."""
    folder = tmp_path_factory.mktemp("run")
    trained(folder, "lass", baselines=LASS)
    return folder


def masks_in(run: Path) -> WeightMasks:
    return WeightMasks.load(run / "arms" / "lass" / WEIGHT_MASKS_FILE)


def test_the_smallest_magnitudes_are_left_out() -> None:
    weight = torch.tensor([[0.1, -3.0, 0.2], [-0.2, 2.0, 0.2]])
    assert largest(weight, 0.5).tolist() == [[False, True, False], [False, True, True]]  # of equals the first
    assert largest(weight, 0.0).all()
    assert largest(weight, 0.25).sum() == 6 - round(1.5)


def test_each_matrix_of_the_layers_is_pruned_by_the_magnitudes_after_fine_tuning(run: Path) -> None:
    masks = masks_in(run)
    assert masks.info.directions == ("de-en", "en-de", "en-fr") and masks.info.pruning_rate == RATE
    names = {name.split(".layers.0.")[1] for name in masks.info.shapes if ".encoder." in name}
    assert names == {f"self_attn.{part}_proj.weight" for part in ("q", "k", "v", "out")} | {"fc1.weight", "fc2.weight"}
    assert len(masks.info.shapes) == 6 + 6 + 4
    for direction in DIRECTIONS:
        finetuned = load_model(run / "arms" / "lass" / "finetuned" / str(direction))
        for name, mask in masks.of(direction).items():
            weight = finetuned.get_parameter(name).detach().abs()
            assert (~mask).sum() == round(RATE * weight.numel())
            assert weight[mask].min() >= weight[~mask].max()
    one, other = masks.of(EN_DE), masks.of(EN_FR)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_without_pruning_it_is_dense(tmp_path: Path) -> None:
    whole = {"lass": {"updates": 2, "pruning_rate": 0.0}}
    lass, dense = trained(tmp_path, "lass", baselines=whole), trained(tmp_path, "dense")
    found, expected = (load_file(given.folder / "model.safetensors") for given in (lass, dense))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    for direction in DIRECTIONS:
        assert torch.equal(logits(lass, "lass", direction), logits(dense, "dense", direction))


def test_what_is_left_out_gets_no_gradient_in_its_direction(run: Path) -> None:
    given = toy_given(run, "lass", baselines=LASS)
    model, masks = load_model(given.base), masks_in(run)
    own = {name: weight.detach().clone() for name, weight in matrices(model).items()}
    in_direction = InSubNetwork(model, masks)
    (batch,) = eval_batches(given.store.pairs("valid", EN_DE), EN_DE, given.store.tokenizer)
    with in_direction(EN_DE):
        batch_loss(model, batch).smoothed.backward()
    for name, mask in masks.of(EN_DE).items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None and gradient[mask].abs().sum() > 0
        assert (gradient[~mask] == 0).all()
        assert torch.equal(model.get_parameter(name), own[name])
    first = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    with in_direction(DE_EN):
        batch_loss(model, batch).smoothed.backward()
    for name, mask in masks.of(DE_EN).items():  # a second micro-batch of another direction adds under its own mask
        gradient = model.get_parameter(name).grad
        assert gradient is not None and torch.equal(gradient[~mask], first[name][~mask])


def test_layers_that_are_computed_twice_are_masked_twice(run: Path) -> None:
    """Gradient checkpointing computes them again in the backward pass."""
    given, gradients = toy_given(run, "lass", baselines=LASS), []
    (batch,) = eval_batches(given.store.pairs("valid", EN_DE), EN_DE, given.store.tokenizer)
    for twice in (False, True):
        model = toy_model(dropout=0.0).train()
        if twice:
            checkpoint_activations(model, True)
        with InSubNetwork(model, masks_in(run))(EN_DE):
            batch_loss(model, batch).smoothed.backward()
        gradients.append({name: value.grad for name, value in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_it_comes_back_as_it_was_trained(run: Path) -> None:
    given = toy_given(run, "lass", baselines=LASS)
    model, in_direction = get_arm("lass").load(given)
    for direction in (EN_DE, EN_FR, EN_DE):
        by_hand = load_model(given.folder)
        for name, mask in masks_in(run).of(direction).items():
            by_hand.get_parameter(name).data *= mask
        expected = logits_of(by_hand, any_direction, direction)
        assert torch.equal(logits_of(model, in_direction, direction), expected)
        assert not torch.allclose(logits_of(model, any_direction, direction), expected, atol=1e-4)


def test_zero_shot_takes_the_encoder_of_one_and_the_decoder_of_another(run: Path) -> None:
    given = toy_given(run, "lass", baselines=LASS)
    model, in_direction = get_arm("lass").load(given, [DE_FR])
    by_hand, masks = load_model(given.folder), masks_in(run)
    for name in masks.info.shapes:
        origin = DE_EN if name.startswith("model.encoder.") else EN_FR
        by_hand.get_parameter(name).data *= masks.of(origin)[name]
    assert torch.equal(logits_of(model, in_direction, DE_FR), logits_of(by_hand, any_direction, DE_FR))
    with pytest.raises(DirectionError, match="no weight masks for direction de-fr"):
        masks.of(DE_FR)


def test_what_it_costs(run: Path) -> None:
    cost = json.loads((run / "arms" / "lass" / "cost.json").read_text())
    size = sum(parameter.numel() for parameter in load_model(run / "base").parameters())
    assert (cost["trained_parameters"], cost["extra_parameters"]) == (size, 0)
    assert cost["prepare_seconds"] == masks_in(run).info.seconds > 0 and cost["update_seconds"] > 0
    bits = sum(-(-shape[0] * shape[1] // 8) for shape in masks_in(run).info.shapes.values())
    file = run / "arms" / "lass" / WEIGHT_MASKS_FILE
    assert sum(tensor.numel() for tensor in load_file(file).values()) == 3 * bits


@pytest.mark.parametrize("stop", [5, 11])
def test_it_goes_on_where_it_was_stopped(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    """Stopped in the second fine-tuning (3 updates each), and in the training after them (6)."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        counting(patch, stop)
        trained(tmp_path, "lass", baselines=LASS)
    made = counting(monkeypatch)
    given = trained(tmp_path, "lass", baselines=LASS)
    assert made == (["de-en"] * 3 + ["en-de"] * 3 + ["en-fr"] * 3 + ["lass"] * 6)[stop:]
    one, other = (load_file(folder / "model.safetensors") for folder in (given.folder, run / "arms" / "lass"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list((given.folder / "finetuned").glob("*/checkpoints"))


def test_damaged_masks_are_named(tmp_path: Path, run: Path) -> None:
    masks = masks_in(run)
    shapes = masks.info.shapes | {"model.encoder.layers.9.fc1.weight": (3, 3)}
    path = tmp_path / WEIGHT_MASKS_FILE
    WeightMasks(masks._packed, masks.info.model_copy(update={"shapes": shapes})).save(path)
    with pytest.raises(MaskError, match=r"de-en/model.encoder.layers.9.fc1.weight is missing .* make it again"):
        WeightMasks.load(path)


def test_recipes_that_it_cannot_run() -> None:
    assert "lass" in toy_recipe(arms=["lass"], baselines=LASS).arms
    for message, sections in {
        r"baselines\.lass\.updates: the arm lass needs it": {"baselines": {}},
        "parallel: .* set it to ddp": {"continuation": {"parallel": "fsdp"}},
    }.items():
        with pytest.raises(ValueError, match=message):
            toy_recipe(**{"arms": ["lass"], "baselines": LASS} | sections)
    with pytest.raises(RecipeError, match="mix_directions is true, but .* compute one direction per batch"):
        tasks_of(toy_recipe(arms=["lass"], baselines=LASS, continuation={"mix_directions": True}))
