"""Semantics `gradient`: dense in every forward pass, and updates of a direction's neurons alone.

That gradients are exact for every family, alone and in mixed batches, is in test_equivalence.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.masked import Double, gradients, random_masks
from torch import nn

from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import compact_report, deployable
from neuronspec.specialization.model_card import CardFacts, model_card
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.save import load
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.specialization.selected import Selection
from neuronspec.specialization.semantics.gradient import TOKENS_AT_ONCE, GradientSemantics


@pytest.mark.parametrize("family", EACH)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_forward_pass_is_the_dense_one_to_the_bit(family: str, precision: torch.dtype) -> None:
    model = build_family(family).train()
    inputs, masks = padded_inputs(model), random_masks(model)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        expected = model(**inputs)
        with torch.no_grad():  # products may be folded otherwise
            watched_by_nobody = model(**inputs)
        specialize(model, masks, "gradient")
        with use_direction(model, "en-de"):
            alone = model(**inputs)
        with use_directions(model, ["en-de", "de-en", "en-de"]):
            mixed = model(**inputs)
        with use_direction(model, "en-de"), torch.no_grad():
            unwatched = model(**inputs)
    for found in (alone, mixed):
        assert torch.equal(found.logits, expected.logits) and torch.equal(found.loss, expected.loss)
    assert torch.equal(unwatched.logits, watched_by_nobody.logits)


@pytest.mark.parametrize("family", EACH)
def test_a_mixed_batch_gives_the_sum_of_its_directions(family: str) -> None:
    with Double():
        model = build_family(family, dtype=torch.float64)
        inputs, masks = padded_inputs(model, rows=4), random_masks(model)
        specialize(model, masks, "gradient")
        rows = ["en-de", "de-en", "de-en", "en-de"]
        total = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        for place, direction in enumerate(rows):
            with use_direction(model, direction):
                loss = (
                    model(**{name: tensor[place : place + 1] for name, tensor in inputs.items()}).logits.square().sum()
                )
            for name, gradient in gradients(model, loss).items():
                total[name] += gradient
        with use_directions(model, rows):
            found = gradients(model, model(**inputs).logits.square().sum())
    for name, gradient in total.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-9, msg=name)


def test_under_autocast_other_neurons_get_exactly_no_gradient() -> None:
    model = build_family("m2m100")
    inputs, masks = padded_inputs(model), random_masks(model)
    with torch.autocast("cpu", torch.bfloat16):
        dense = gradients(model, model(**inputs).loss)
        specialize(model, masks, "gradient")
        with use_direction(model, "en-de"):
            own = gradients(model, model(**inputs).loss)
    names = {parameter: name for name, parameter in model.named_parameters()}
    for site in find_ffn_sites(model):
        mask = masks["en-de"][site.name]
        up, bias, down = (names[each] for each in (site.ups[0].weight, site.ups[0].bias, site.down.weight))
        assert own[up].dtype == torch.float32
        assert not own[up][~mask].any() and not own[bias][~mask].any() and not own[down][:, ~mask].any()
        for name, index in ((up, mask), (bias, mask), (down, (slice(None), mask))):
            difference = (own[name][index] - dense[name][index]).abs().max()
            assert difference <= 2**-6 * dense[name].abs().max(), name


def test_in_bf16_a_large_batch_is_summed_as_precisely_as_in_one_product() -> None:
    """The CPU takes tokens part by part; sums of the parts in bf16 would lose more with every part."""
    torch.manual_seed(0)
    layer, mask = nn.Linear(32, 64), torch.arange(64) % 2 == 0
    x, back = torch.randn(1, 16 * TOKENS_AT_ONCE, 32), torch.randn(1, 16 * TOKENS_AT_ONCE, 64) + 0.2
    exact = (back[0].bfloat16().double().t() @ x[0].bfloat16().double())[mask]
    errors = []
    for compute in (layer, lambda x: GradientSemantics().up(layer, x, Selection(mask, torch.device("cpu")))):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y = compute(x)
        y.backward(back.to(y.dtype))
        errors.append(float((layer.weight.grad[mask] - exact).norm() / exact.norm()))
    assert errors[1] < 1.6 * errors[0]  # two roundings instead of one; sums in bf16 would be 2.4 times as far off


def test_a_direction_without_a_neuron_at_a_site_leaves_it_as_it_is() -> None:
    model = build_family("llama")
    inputs, masks = padded_inputs(model), random_masks(model)
    site = find_ffn_sites(model)[1]
    masks["en-de"][site.name][:] = False
    specialize(model, masks, "gradient")
    for directions in (["en-de"] * 3, ["en-de", "en-de", "de-en"]):
        with use_directions(model, directions):
            found = gradients(model, model(**inputs).loss)
        mixed = len(set(directions)) > 1
        for layer, parameter in ((up, up.weight) for up in (*site.ups, site.down)):
            name = next(name for name, each in model.named_parameters() if each is parameter)
            assert bool(found[name].any()) == mixed, layer


@pytest.mark.parametrize("frozen", ["weights", "biases"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    model = build_family("m2m100")
    inputs, masks = padded_inputs(model), random_masks(model)
    sites = find_ffn_sites(model)
    for site in sites:
        for layer in (*site.ups, site.down):
            (layer.weight if frozen == "weights" else layer.bias).requires_grad_(False)
    specialize(model, masks, "gradient")
    with use_direction(model, "en-de"):
        model(**inputs).loss.backward()
    for site in sites:
        for layer in (*site.ups, site.down):
            assert (layer.weight.grad is None) == (frozen == "weights")
            assert (layer.bias.grad is None) == (frozen == "biases")


def test_it_is_saved_with_its_semantics_and_deployed_as_the_dense_model(tmp_path: Path) -> None:
    model = build_family("m2m100")
    inputs, masks = padded_inputs(model), NeuronMasks.from_dict(random_masks(model))
    expected = model(**inputs).logits
    specialize(model, masks, "gradient")
    model.save_pretrained(tmp_path)
    again = load(tmp_path)
    state = specialization_of(again)
    assert state.semantics == "gradient" and state.masks == masks
    served = deployable(again, "en-de")
    assert (served(**inputs).logits - expected).abs().max() < 1e-5  # attention is computed in another way
    assert compact_report(served).parameters == model.num_parameters()


def test_the_card_of_such_a_model_says_that_it_computes_densely() -> None:
    masks = NeuronMasks.from_dict(random_masks(build_family("m2m100")))
    for semantics, dense in (("gradient", True), ("weight", False)):
        card = model_card(masks.with_info(semantics=semantics), CardFacts("user/model"))
        assert ("sparsity (share of neurons not updated)" in card) == dense
        assert ("the model computes the same without them" in card) == dense
        assert ("the model computes another function" in card) != dense
