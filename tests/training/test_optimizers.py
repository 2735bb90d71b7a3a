"""The schedule's numbers, and Adam's state through a file."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.helpers.toy_corpus import toy_model

from neuronspec.training.optimizers import Adam, learning_rate
from neuronspec.training.settings import TrainingSettings

SETTINGS = TrainingSettings(updates=10, learning_rate=0.01, warmup=4)


@pytest.mark.parametrize(
    ("update", "expected"), [(1, 1.25e-7), (2000, 2.5e-4), (4000, 5e-4), (16_000, 2.5e-4), (400_000, 5e-5)]
)
def test_inverse_square_root(update: int, expected: float) -> None:
    assert learning_rate(update, peak=5e-4, warmup=4000) == pytest.approx(expected)


def test_rate_rises_then_falls() -> None:
    rates = [learning_rate(update, 1.0, 10) for update in range(1, 40)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)


def give_gradient(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        value.grad = torch.randn(value.shape, generator=generator)


def test_step_is_adam() -> None:
    model = toy_model()
    reference = copy.deepcopy(model)
    settings = TrainingSettings(updates=1, learning_rate=0.01, warmup=4, weight_decay=0.1)
    adam = Adam(model, settings)
    plain = torch.optim.AdamW(reference.parameters(), betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)
    for update in range(1, 8):
        give_gradient(model, update)
        give_gradient(reference, update)
        norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        assert adam.clip() == pytest.approx(norm.item())
        plain.param_groups[0]["lr"] = rate = learning_rate(update, 0.01, 4)
        plain.step()
        assert adam.step(update) == rate
    for found, expected in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)
    assert all(value.grad is None for value in model.parameters())


def test_state_goes_on_to_the_bit() -> None:
    model = toy_model()
    adam = Adam(model, SETTINGS)
    for update in (1, 2):
        give_gradient(model, update)
        adam.step(update)
    twin = copy.deepcopy(model)
    other = Adam(twin, SETTINGS)
    saved = {name: tensor.clone() for name, tensor in adam.tensors().items()}
    other.restore(saved)
    for update in (3, 4):
        for one, its_adam in ((model, adam), (twin, other)):
            give_gradient(one, update)
            its_adam.step(update)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert len(saved) == 3 * len(adam.parameters)


def test_frozen_parameters_are_left_alone() -> None:
    model = toy_model()
    model.model.shared.weight.requires_grad = False
    adam = Adam(model, SETTINGS)
    assert "model.shared.weight" not in adam.parameters
    assert adam.tensors() == {}
