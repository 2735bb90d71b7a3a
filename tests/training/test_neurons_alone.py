"""`trainable: neurons`: nothing but selected neurons is trained, and nothing else has a state in the optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.masked import naive, random_masks
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import stopped_and_resumed, toy_recipe, trained
from tests.helpers.toy_training import assert_same

from neuronspec.arms.arm import read_cost
from neuronspec.core.errors import TrainingError
from neuronspec.models.load import load_model
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training.optimization import Optimizer
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.trained import parts_of_neurons, train_neurons_alone, trained_parameters

NEURONS: dict[str, Any] = {"semantics": "gradient", "trainable": "neurons"}


@pytest.mark.parametrize("family", EACH)
def test_twenty_steps_are_those_of_masked_gradients(family: str) -> None:
    """Two directions in turn: a neuron of the other one alone has a zero gradient, as any weight in Adam."""
    settings = TrainingSettings(updates=20, learning_rate=1e-2, warmup=1, schedule="constant", clip_norm=0)
    masks = random_masks(build_family(family))
    plain, ours = (build_family(family, dtype=torch.float64).train() for _ in range(2))
    start = {name: parameter.detach().clone() for name, parameter in plain.named_parameters()}
    for model in (plain, ours):
        train_neurons_alone(model)
    specialize(ours, masks, "gradient")
    parts = parts_of_neurons(ours, NeuronMasks.from_dict(masks).selected_by(masks))
    optimizer = Optimizer(ours, settings, parts=parts)
    reference = torch.optim.AdamW(
        [p for p in plain.parameters() if p.requires_grad], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0
    )
    for step in range(20):
        direction, inputs = list(masks)[step % 2], padded_inputs(plain, seed=step)
        naive(plain, masks[direction], "gradient", inputs).loss.backward()
        reference.step()
        reference.zero_grad()
        with use_direction(ours, direction):
            ours(**inputs).loss.backward()
        optimizer.clip()
        optimizer.step(step + 1)
    expected = dict(plain.named_parameters())
    for name, parameter in ours.named_parameters():
        assert (parameter - expected[name]).abs().max() < 1e-6, name
        rest = torch.ones_like(parameter, dtype=torch.bool)
        if name in parts:
            parts[name].put(rest, torch.zeros_like(parts[name].of(rest)))
            assert not torch.equal(parts[name].of(parameter), parts[name].of(start[name])), name
        assert torch.equal(parameter[rest], start[name][rest]), name
    assert {name.rpartition(".")[0] for name in optimizer.tensors()} == set(parts)
    for name, part in parts.items():
        assert optimizer.tensors()[f"{name}.exp_avg"].shape == part.of(start[name]).shape
    assert trained_parameters(ours, parts) == sum(value.numel() for value in optimizer.parameters.values())


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_weight_decay_leaves_other_neurons_alone(optimizer: str) -> None:
    model = build_family("m2m100")
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    masks = random_masks(model)["en-de"]
    train_neurons_alone(model)
    parts = parts_of_neurons(model, masks)
    settings = TrainingSettings(updates=3, learning_rate=1e-2, warmup=1, weight_decay=0.5, optimizer=optimizer)
    stepped = Optimizer(model, settings, parts=parts)
    for update in (1, 2, 3):
        model(**padded_inputs(model)).loss.backward()  # densely: every neuron has a gradient
        stepped.clip()
        stepped.step(update)
    for site in find_ffn_sites(model):
        (up,), down = site.ups, site.down
        names = {parameter: name for name, parameter in model.named_parameters()}
        mask = masks[site.name]
        for parameter, index in ((up.weight, ~mask), (up.bias, ~mask), (down.weight, (slice(None), ~mask))):
            assert torch.equal(parameter[index], start[names[parameter]][index])
            assert not torch.equal(parameter, start[names[parameter]])
        assert torch.equal(down.bias, start[names[down.bias]])


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_a_site_without_a_neuron_that_is_trained(tmp_path: Path, optimizer: str) -> None:
    section = NEURONS | {"components": "encoder"}
    given = trained(tmp_path, "specialized", specialization=section, continuation={"optimizer": optimizer})
    base, found = stored_weights(given.base), stored_weights(given.folder)
    changed = {name for name, value in found.items() if not torch.equal(value, base[name])}
    assert changed and all(name.startswith("model.encoder") for name in changed)


def test_without_any_neuron_nothing_is_trained() -> None:
    model = build_family("m2m100")
    train_neurons_alone(model)
    with pytest.raises(TrainingError, match="the masks select no neurons"):
        Optimizer(model, TrainingSettings(updates=1), parts=parts_of_neurons(model, {}))


@pytest.mark.parametrize("arm", ["specialized", "random"])
@pytest.mark.parametrize("semantics", ["gradient", "weight"])
def test_an_arm_changes_its_neurons_alone(tmp_path: Path, arm: str, semantics: str) -> None:
    given = trained(tmp_path, arm, specialization=NEURONS | {"semantics": semantics})
    base, found = stored_weights(given.base), stored_weights(given.folder)
    neurons = NeuronMasks.load(given.folder / "neuron_masks.safetensors").selected_by(given.directions)
    model = load_model(given.base)
    parts = parts_of_neurons(model, neurons)
    assert any(not mask.all() for mask in neurons.values())
    for name, value in found.items():
        if name not in parts:
            assert torch.equal(value, base[name]), name
            continue
        assert not torch.equal(value, base[name]), name
        for tensor in (part := value.clone(), before := base[name].clone()):
            parts[name].put(tensor, torch.zeros_like(parts[name].of(tensor)))
        assert torch.equal(part, before), name
    moments = load_file(given.folder / "checkpoints" / "step-6" / "optimizer.safetensors")
    held = sum(value.numel() for name, value in moments.items() if name.endswith(".exp_avg"))
    train_neurons_alone(model)
    assert read_cost(given.folder).trained_parameters == held == trained_parameters(model, parts)


def test_dense_trains_every_neuron(tmp_path: Path) -> None:
    given = trained(tmp_path, "dense", specialization=NEURONS)
    base, found = stored_weights(given.base), stored_weights(given.folder)
    changed = {name for name, value in found.items() if not torch.equal(value, base[name])}
    sites = find_ffn_sites(model := load_model(given.base))
    names = {parameter: name for name, parameter in model.named_parameters()}
    expected = {names[each] for site in sites for each in (site.ups[0].weight, site.ups[0].bias, site.down.weight)}
    assert changed == expected


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section: dict[str, Any] = {"specialization": NEURONS, "continuation": {"save_every": 2}}
    whole = trained(tmp_path / "whole", "specialized", **section)
    parts = stopped_and_resumed(monkeypatch, tmp_path / "parts", "specialized", **section)
    assert_same(parts.folder, whole.folder, fewest=20)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"continuation": {"parallel": "fsdp"}}, "continuation.parallel: fsdp shards what .* set it to ddp"),
        ({"rerecord_every": 2}, "specialization.rerecord_every: .* can't follow new ones; leave it out"),
    ],
)
def test_what_it_refuses(section: dict[str, Any], message: str) -> None:
    continuation = section.pop("continuation", {})
    with pytest.raises(ValidationError, match=message):
        toy_recipe(specialization=NEURONS | section, continuation=continuation)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"continuation": {"parallel": "fsdp"}}, "arms: mine: continuation.parallel: fsdp shards"),
        ({"specialization": {"rerecord_every": 2}}, "arms: mine: specialization.rerecord_every: .* leave it out"),
    ],
)
def test_what_it_refuses_of_one_arm(section: dict[str, Any], message: str) -> None:
    arm = {"name": "mine", "semantics": "gradient", "trainable": "neurons"}
    with pytest.raises(ValidationError, match=message):
        toy_recipe(arms=[arm], **section)


def test_components_without_masks_are_frozen(tmp_path: Path) -> None:
    given = trained(tmp_path, "specialized", specialization=NEURONS | {"components": "decoder"})
    base, found = stored_weights(given.base), stored_weights(given.folder)
    changed = {name for name, value in found.items() if not torch.equal(value, base[name])}
    assert changed and all(name.startswith("model.decoder") for name in changed)
