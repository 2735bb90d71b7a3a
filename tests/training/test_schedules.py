"""The numbers of the learning-rate schedules, and which budgets they go with."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from neuronspec.core.settings import without_added
from neuronspec.training.progress_state import Budget
from neuronspec.training.schedules import SCHEDULES, cosine, inverse_sqrt, linear, needs_updates
from neuronspec.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("update", "expected"), [(1, 1.25e-7), (2000, 2.5e-4), (4000, 5e-4), (16_000, 2.5e-4), (400_000, 5e-5)]
)
def test_inverse_square_root(update: int, expected: float) -> None:
    assert inverse_sqrt(update, peak=5e-4, warmup=4000) == pytest.approx(expected)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_rate_rises_then_falls(name: str) -> None:
    whole = {"updates": 39} if needs_updates(name) else {}
    rates = [SCHEDULES.get(name)(update, peak=1.0, warmup=10, **whole) for update in range(1, 40)]
    assert rates[:10] == pytest.approx([update / 10 for update in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert all(rate > 0 for rate in rates)


@pytest.mark.parametrize(
    ("own", "stock"), [(linear, get_linear_schedule_with_warmup), (cosine, get_cosine_schedule_with_warmup)]
)
def test_equals_transformers_without_its_first_update(own: object, stock: object) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = stock(optimizer, 10, 31)  # type: ignore[operator]
    for update in range(1, 31):
        optimizer.step()
        scheduler.step()
        expected = scheduler.get_last_lr()[0]
        assert own(update, peak=0.5, warmup=10, updates=30) == pytest.approx(expected, abs=1e-12)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_budget_in_minutes_does_not_say_when_the_rate_is_zero(name: str) -> None:
    with pytest.raises(ValidationError, match=f"schedule: {name} needs the number of updates in advance"):
        TrainingSettings(minutes=1, schedule=name)
    assert TrainingSettings(minutes=1, schedule="constant").schedule == "constant"


def test_an_unknown_schedule_is_named_with_the_valid_ones() -> None:
    with pytest.raises(ValidationError, match=r"did you mean 'linear'\? Valid: constant, cosine, inverse_sqrt, linear"):
        TrainingSettings(updates=1, schedule="liner")


def test_keys_that_were_added_count_once_they_are_not_at_their_default() -> None:
    default = TrainingSettings(updates=1)
    assert {"schedule", "optimizer"} <= default.model_dump().keys()
    assert {"schedule", "optimizer"}.isdisjoint(without_added(default, default.model_dump()))
    chosen = TrainingSettings(updates=1, schedule="cosine", optimizer="adafactor")
    dumped = without_added(chosen, chosen.model_dump())
    assert (dumped["schedule"], dumped["optimizer"]) == ("cosine", "adafactor")


def test_epochs_are_counted_as_they_are_written() -> None:
    """1.1 * 10 is a little more than 11 in floating point, and 0.1 * 30 a little more than 3."""

    class Batches:
        def __init__(self, number: int) -> None:
            self.batches_per_epoch = lambda: number

    for epochs, number, micro_batches, updates in ((1.1, 10, 1, 11), (0.1, 30, 1, 3), (0.1, 31, 1, 4), (2, 5, 4, 3)):
        budget = Budget.of(TrainingSettings(epochs=epochs), Batches(number), micro_batches)  # type: ignore[arg-type]
        assert budget.updates == updates
