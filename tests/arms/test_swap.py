"""Other weights in a context: exact inside, gone outside, gradients masked and added up."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.toy_corpus import DE_EN, EN_DE
from torch import nn
from torch.func import functional_call

from neuronspec.arms.swap import masked, one_direction, swapped
from neuronspec.core.errors import DirectionError, ModelError

X = torch.arange(6.0).reshape(2, 3)


def layer() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(3, 2)


def masks_of(seed: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)) < 0.5}


def test_other_weights_inside_and_the_own_tensor_outside() -> None:
    model, others = layer(), {"weight": torch.ones(2, 3), "bias": torch.tensor([0.0, 1.0])}
    own, before, parameter = model.weight.data_ptr(), model.weight.detach().clone(), model.weight
    with swapped(model, others):
        assert torch.equal(model(X), torch.tensor([[3.0, 4.0], [12.0, 13.0]]))
        with swapped(model, {"weight": torch.zeros(2, 3)}):
            assert torch.equal(model(X)[0], others["bias"])
        assert torch.equal(model.weight, others["weight"])
    assert model.weight is parameter and model.weight.data_ptr() == own
    assert torch.equal(model.weight, before)


def test_autocast_does_not_remember_the_other_weights() -> None:
    model, ones = layer(), {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    with torch.autocast("cpu", torch.bfloat16):
        before = model(X)
        with swapped(model, ones):
            assert torch.equal(model(X).float(), torch.tensor([[3.0, 3.0], [12.0, 12.0]]))
        assert torch.equal(model(X), before)


def test_an_exception_leaves_the_weights_as_they_were() -> None:
    model = layer()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for context in (swapped(model, {"weight": torch.ones(2, 3)}), masked(model, masks_of(0))):
        with pytest.raises(RuntimeError, match="injected"), context:
            assert not torch.equal(model.weight, before["weight"])
            raise RuntimeError("injected")
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.weight._backward_hooks


def test_gradients_of_several_masks_add_up_each_under_its_own() -> None:
    model = layer()
    for seed in (1, 2):
        with masked(model, masks_of(seed)):
            model(X * seed).square().sum().backward()
    model(X).square().sum().backward()
    weight, bias = (value.detach().clone().requires_grad_() for value in (model.weight, model.bias))
    for scale, mask in ((1, masks_of(1)["weight"]), (2, masks_of(2)["weight"]), (1, torch.ones(2, 3))):
        functional_call(model, {"weight": weight * mask, "bias": bias}, (X * scale,)).square().sum().backward()
    torch.testing.assert_close(model.weight.grad, weight.grad)
    torch.testing.assert_close(model.bias.grad, bias.grad)


def test_what_is_left_out_gets_no_gradient_and_no_say() -> None:
    model, masks = layer(), masks_of(3)
    with masked(model, masks):
        assert torch.equal(model.weight != 0, masks["weight"])
        model(X).sum().backward()
    assert model.weight.grad is not None
    assert torch.equal(model.weight.grad != 0, masks["weight"])


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(ModelError, match="no parameter 'wait'"), swapped(layer(), {"wait": X}):
        pass
    with (
        pytest.raises(ModelError, match=r"weight is \[2, 3\], its new value \[3, 2\]"),
        masked(layer(), {"weight": X.T}),
    ):
        pass


def test_a_batch_has_one_direction() -> None:
    assert one_direction(EN_DE) == EN_DE
    with pytest.raises(DirectionError, match="mix_directions to false"):
        one_direction([EN_DE, DE_EN])
