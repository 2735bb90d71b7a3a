"""Fast dropout: the right share, an exact mean, one mask for forward and backward, and a function of the seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from neuronspec.models.fast_dropout import STEPS, FastDropout


def dropped(seed: int, p: float = 0.1, size: tuple[int, ...] = (501, 401), dtype: torch.dtype = torch.float32):
    torch.manual_seed(seed)
    with FastDropout():
        return functional.dropout(torch.ones(size, dtype=dtype), p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.9])
def test_values_are_zero_or_scaled_in_the_right_share(p: float, dtype: torch.dtype) -> None:
    found = dropped(0, p, dtype=dtype)
    share = round(p * STEPS) / STEPS
    assert found.dtype == dtype
    assert set(found.unique().tolist()) == {0.0, torch.tensor(1 / (1 - share), dtype=dtype).item()}
    deviation = (share * (1 - share) / found.numel()) ** 0.5
    assert (found == 0).double().mean().item() == pytest.approx(share, abs=5 * deviation)


def test_neighbours_are_independent() -> None:
    zero = (dropped(1, 0.5) == 0).double() - 0.5
    for step in range(1, 9):
        assert abs((zero[:, step:] * zero[:, :-step]).mean().item()) < 5 * 0.25 / zero.numel() ** 0.5
    assert abs((zero[1:] * zero[:-1]).mean().item()) < 5 * 0.25 / zero.numel() ** 0.5


def test_is_a_function_of_the_seed_and_differs_by_call() -> None:
    assert torch.equal(dropped(3), dropped(3))
    assert not torch.equal(dropped(3), dropped(4))
    torch.manual_seed(3)
    with FastDropout():
        first, second = (functional.dropout(torch.ones(501, 401), 0.1) for _ in range(2))
    assert torch.equal(first, dropped(3))
    assert not torch.equal(first, second)
    with FastDropout():
        assert not torch.equal(functional.dropout(torch.ones(501, 401), 0.1), first)


def test_gradient_has_the_mask_of_the_forward() -> None:
    x = torch.randn(7, 9, requires_grad=True, dtype=torch.float64)
    with FastDropout():
        out = functional.dropout(x, 0.4)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    assert torch.allclose(x.grad, gradient * out.detach() / x.detach())
    assert (x.grad == 0).any()


def test_modules_are_served_and_eval_is_left_alone() -> None:
    layer, x = nn.Dropout(0.5), torch.ones(40, 40)
    with FastDropout():
        torch.manual_seed(0)
        assert (layer(x) == 0).any()
        assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))  # drew nothing
        layer.eval()
        assert layer(x) is x


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9])
def test_probabilities_at_the_ends(p: float) -> None:
    found = dropped(0, p, (5, 5))
    assert torch.equal(found, torch.full((5, 5), 0.0 if p == 1.0 else 1.0))


def test_in_place_stays_in_place() -> None:
    x = torch.ones(30, 30)
    with FastDropout():
        assert functional.dropout(x, 0.5, inplace=True) is x
    assert (x == 0).any()
