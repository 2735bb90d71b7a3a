"""Optimizers: their steps, and their state through a file."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tests.helpers.toy_corpus import toy_model

from neuronspec.core.errors import MissingExtraError
from neuronspec.training.optimization import Optimizer, check_optimizer
from neuronspec.training.schedules import inverse_sqrt
from neuronspec.training.settings import TrainingSettings

NAMES = ["adamw", "adafactor", "adamw_8bit"]


def settings(name: str = "adamw", **fields: Any) -> TrainingSettings:
    if name == "adamw_8bit":
        pytest.importorskip("bitsandbytes", reason="8-bit AdamW needs bitsandbytes")
    return TrainingSettings(**{"updates": 10, "learning_rate": 0.01, "warmup": 4, "optimizer": name} | fields)


def give_gradient(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        value.grad = torch.randn(value.shape, generator=generator)


def test_step_is_adam() -> None:
    model = toy_model()
    reference = copy.deepcopy(model)
    optimizer = Optimizer(model, settings(weight_decay=0.1))
    plain = torch.optim.AdamW(reference.parameters(), betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)
    for update in range(1, 8):
        give_gradient(model, update)
        give_gradient(reference, update)
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        assert optimizer.clip() == pytest.approx(norm.item())
        plain.param_groups[0]["lr"] = rate = inverse_sqrt(update, 0.01, 4)
        plain.step()
        assert optimizer.step(update) == rate
    for found, expected in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)
    assert all(value.grad is None for value in model.parameters())


def test_adafactor_keeps_rows_and_columns() -> None:
    model = toy_model()
    optimizer = Optimizer(model, settings("adafactor"))
    give_gradient(model, 1)
    optimizer.step(1)
    name = next(name for name, value in optimizer.parameters.items() if value.dim() == 2)
    rows, columns = optimizer.parameters[name].shape
    state = optimizer.tensors()
    assert {key: tuple(state[f"{name}.{key}"].shape) for key in ("row_var", "col_var")} == {
        "row_var": (rows, 1),
        "col_var": (1, columns),
    }
    kept = sum(value.numel() for value in state.values())
    assert kept < sum(value.numel() for value in optimizer.parameters.values()) / 2


def test_moments_of_large_tensors_have_8_bits() -> None:
    """The toy model's tensors are all too small for that. Steps are about those of AdamW, and go on to the bit."""
    torch.manual_seed(1)
    model = torch.nn.Linear(96, 64)
    reference, before = copy.deepcopy(model), model.weight.detach().clone()
    trained = [(model, Optimizer(model, settings("adamw_8bit"))), (reference, Optimizer(reference, settings()))]
    for update in range(1, 5):
        for one, optimizer in trained:
            give_gradient(one, update)
            optimizer.step(update)
    state = trained[0][1].tensors()
    assert {name: state[f"{name}.state1"].dtype for name in ("weight", "bias")} == {
        "weight": torch.uint8, "bias": torch.float32,
    }  # fmt: skip
    assert (model.weight - reference.weight).norm() < 0.1 * (reference.weight - before).norm()
    twin = copy.deepcopy(model)
    other = Optimizer(twin, settings("adamw_8bit"))
    other.restore({name: tensor.clone() for name, tensor in state.items()})
    for one, optimizer in (trained[0], (twin, other)):
        give_gradient(one, 5)
        optimizer.step(5)
    assert torch.equal(model.weight, twin.weight)


@pytest.mark.parametrize("name", NAMES)
def test_state_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    model = toy_model()
    optimizer = Optimizer(model, settings(name))
    for update in (1, 2):
        give_gradient(model, update)
        optimizer.step(update)
    twin = copy.deepcopy(model)
    other = Optimizer(twin, settings(name))
    save_file({key: tensor.contiguous() for key, tensor in optimizer.tensors().items()}, tmp_path / "state")
    other.restore(load_file(tmp_path / "state"))
    for update in (3, 4):
        for one, its_optimizer in ((model, optimizer), (twin, other)):
            give_gradient(one, update)
            its_optimizer.step(update)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    if name == "adamw":
        assert len(optimizer.tensors()) == 3 * len(optimizer.parameters)


def test_frozen_parameters_are_left_alone() -> None:
    model = toy_model()
    model.model.shared.weight.requires_grad = False
    optimizer = Optimizer(model, settings())
    assert "model.shared.weight" not in optimizer.parameters
    assert optimizer.tensors() == {}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(MissingExtraError, match=r"adamw_8bit needs the package 'bitsandbytes': .*neuronspec\[8bit\]"):
        check_optimizer(TrainingSettings(updates=1, optimizer="adamw_8bit"))


def test_other_optimizers_are_not_sharded() -> None:
    with pytest.raises(ValidationError, match="optimizer: the state of adafactor can't be sharded by parallel: fsdp"):
        TrainingSettings(updates=1, optimizer="adafactor", parallel="fsdp")


def test_the_rate_of_adafactor_is_never_above_one_by_the_root_of_the_update() -> None:
    """As docs/training.md says: also where the schedule is constant."""
    layer = torch.nn.Linear(1, 1, bias=False)
    optimizer = Optimizer(layer, settings("adafactor", schedule="constant", learning_rate=0.5, warmup=1, clip_norm=0))
    moved = []
    for update in range(1, 10):
        torch.nn.init.ones_(layer.weight)
        layer.weight.grad = torch.ones(1, 1)
        assert optimizer.step(update) == 0.5
        moved.append(1 - layer.weight.item())
    assert moved == pytest.approx([min(0.5, update**-0.5) for update in range(1, 10)], rel=1e-4)
