"""Compact, rows, masked and auto compute what masked weights compute: outputs, gradients, training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.masked import Double, gradients, methods, naive, random_masks
from torch import nn
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.core.errors import DirectionError
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction, use_directions

EXACT = 1e-9


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    with Double():
        yield


SEMANTICS = ("weight", "neuron", "gradient")


def _largest_difference(model: nn.Module, run: object, expected: object, expected_gradients: dict) -> float:
    found = gradients(model, run.loss)  # type: ignore[attr-defined]
    assert found.keys() == expected_gradients.keys()
    differences = [(run.logits - expected.logits).abs().max(), (run.loss - expected.loss).abs()]  # type: ignore
    differences += [(found[name] - expected_gradients[name]).abs().max() for name in found]
    return max(float(difference.detach()) for difference in differences)


@pytest.mark.parametrize("family", EACH)
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_every_method_equals_masked_weights(family: str, semantics: str) -> None:
    """Outputs and the gradient of every parameter, in float64, with real padding."""
    model = build_family(family, dtype=torch.float64)
    inputs, masks = padded_inputs(model), random_masks(model)
    dense = model(**inputs).logits
    expected = naive(model, masks["en-de"], semantics, inputs)
    expected_gradients = gradients(model, expected.loss)
    if semantics != "gradient":
        assert (expected.logits - dense).abs().max() > 1e-3  # masks do something
    for method in methods(semantics):
        specialize(model, masks, semantics=semantics, method=method)
        with use_direction(model, "en-de"):
            run = model(**inputs)
        assert _largest_difference(model, run, expected, expected_gradients) < EXACT, method
        assert torch.equal(model(**inputs).logits, dense), "outside of any direction it is the dense model"
        unspecialize(model)


@pytest.mark.parametrize("family", EACH)
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_a_direction_for_each_row_equals_each_direction_alone(family: str, semantics: str) -> None:
    model = build_family(family, dtype=torch.float64)
    inputs, masks = padded_inputs(model, rows=4), random_masks(model)
    rows = ["en-de", "de-en", "de-en", "en-de"]
    alone = {direction: naive(model, masks[direction], semantics, inputs).logits for direction in masks}
    expected = torch.stack([alone[direction][row] for row, direction in enumerate(rows)])
    expected_gradients = gradients(model, expected.square().mean())
    specialize(model, masks, semantics=semantics)
    with use_directions(model, rows):
        found = model(**inputs).logits
    assert (found - expected).abs().max() < EXACT
    found_gradients = gradients(model, found.square().mean())
    for name, gradient in expected_gradients.items():
        assert (found_gradients[name] - gradient).abs().max() < EXACT, name


@pytest.mark.parametrize("family", EACH)
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_twenty_adam_steps_give_the_same_parameters(family: str, semantics: str) -> None:
    """Two directions in turn, so that a neuron is selected in one step and not in the next."""

    def train(run: object) -> dict[str, torch.Tensor]:
        model = build_family(family, dtype=torch.float64)
        step_loss = run(model)  # type: ignore[operator]
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        for step in range(20):
            loss = step_loss(list(masks)[step % 2], padded_inputs(model, seed=step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {name: parameter.detach() for name, parameter in model.named_parameters()}

    def plainly(model: nn.Module) -> object:
        return lambda direction, inputs: naive(model, masks[direction], semantics, inputs).loss

    def specialized(model: nn.Module) -> object:
        specialize(model, masks, semantics=semantics, method=method)

        def loss(direction: str, inputs: dict) -> torch.Tensor:
            with use_direction(model, direction):
                return model(**inputs).loss

        return loss

    masks = random_masks(build_family(family))
    expected = train(plainly)
    for method in methods(semantics)[:-1]:
        found = train(specialized)
        assert found.keys() == expected.keys()
        assert max(float((found[name] - expected[name]).abs().max()) for name in found) < 1e-7, method
    start = dict(build_family(family, dtype=torch.float64).named_parameters())
    assert max(float((expected[name] - start[name]).detach().abs().max()) for name in start) > 1e-3


@pytest.mark.parametrize(
    ("semantics", "method"), [(each, method) for each in SEMANTICS for method in methods(each)[:-1]]
)
def test_weights_of_unselected_ups_get_exactly_no_gradient(semantics: str, method: str) -> None:
    model = build_family("m2m100")
    masks = random_masks(model)
    specialize(model, masks, semantics=semantics, method=method)
    with use_direction(model, "en-de"):
        model(**padded_inputs(model)).loss.backward()
    for site in find_ffn_sites(model):
        mask = masks["en-de"][site.name]
        assert site.ups[0].weight.grad[~mask].eq(0).all()
        assert site.ups[0].weight.grad[mask].abs().sum() > 0
        unselected_bias = site.ups[0].bias.grad[~mask].abs().sum()
        assert (unselected_bias > 0) == (semantics == "weight" and (site.ups[0].bias[~mask] > 0).any())


class _ShiftedTanh(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) + 0.5


@pytest.mark.parametrize("family", ["t5", "t5-gated", "m2m100"])
def test_an_activation_that_is_not_zero_at_zero(family: str) -> None:
    """Without biases, an unselected neuron still gives f(0); in a gated block it is multiplied by zero."""
    model = build_family(family, dtype=torch.float64)
    for site in find_ffn_sites(model):
        name = next(name for name, child in site.block.named_children() if child is site.activation)
        setattr(site.block, name, _ShiftedTanh())
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = naive(model, masks["en-de"], "weight", inputs)
    expected_gradients = gradients(model, expected.loss)
    for method in ("compact", "rows"):
        specialize(model, masks, method=method)
        with use_direction(model, "en-de"):
            run = model(**inputs)
        assert _largest_difference(model, run, expected, expected_gradients) < EXACT
        unspecialize(model)


@given(
    d_model=st.sampled_from([4, 12]),
    width=st.integers(1, 40),
    rows=st.integers(1, 4),
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["one neuron", "full", "disjoint", "random"]),
    semantics=st.sampled_from(SEMANTICS),
    activation=st.sampled_from(["relu", "gelu", "silu"]),
)
def test_shapes_masks_and_batch_layouts(
    d_model: int, width: int, rows: int, seed: int, kind: str, semantics: str, activation: str
) -> None:
    torch.manual_seed(seed)
    config = M2M100Config(
        vocab_size=50, d_model=d_model, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=width, decoder_ffn_dim=width + 1, dropout=0.0, pad_token_id=1,
        attention_dropout=0.0, activation_dropout=0.0, activation_function=activation, init_std=0.5,
        max_position_embeddings=16,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).double().eval()
    for site in find_ffn_sites(model):
        nn.init.normal_(site.ups[0].bias)
    masks: dict[str, dict[str, torch.Tensor]] = {"en-de": {}, "de-en": {}}
    for site in find_ffn_sites(model):
        first, second = _pair_of_masks(kind, site.width)
        masks["en-de"][site.name], masks["de-en"][site.name] = first, second
    inputs = padded_inputs(model, rows=rows, seed=seed)
    expected = naive(model, masks["en-de"], semantics, inputs)
    expected_gradients = gradients(model, expected.loss)
    for method in methods(semantics):
        specialize(model, masks, semantics=semantics, method=method)
        with use_direction(model, "en-de"):
            run = model(**inputs)
        assert _largest_difference(model, run, expected, expected_gradients) < EXACT
        unspecialize(model)
    other = naive(model, masks["de-en"], semantics, inputs).logits
    specialize(model, masks, semantics=semantics)
    chosen = torch.rand(rows) < 0.5
    with use_directions(model, ["en-de" if own else "de-en" for own in chosen]):
        mixed = model(**inputs).logits
    assert (mixed - torch.where(chosen[:, None, None], expected.logits, other)).abs().max() < EXACT


def _pair_of_masks(kind: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    neurons = torch.arange(width)
    if kind == "one neuron":
        return neurons == torch.randint(width, ()), neurons == torch.randint(width, ())
    if kind == "full":
        return torch.ones(width, dtype=torch.bool), neurons == 0
    if kind == "disjoint" and width > 1:
        half = torch.randperm(width) < max(1, width // 2)
        return half, ~half
    random = torch.rand(2, width) < 0.5
    random[:, torch.randint(width, ())] = True
    return random[0], random[1]


def test_masks_of_one_component_leave_the_other_dense() -> None:
    model = build_family("m2m100", dtype=torch.float64)
    inputs, masks = padded_inputs(model), random_masks(model)
    for component in ("encoder", "decoder"):
        own = {site: mask for site, mask in masks["en-de"].items() if site.startswith(component)}
        expected = naive(model, own, "weight", inputs).logits
        for given_masks in (masks, {"en-de": own}):
            specialize(model, given_masks, components=component)
            with use_direction(model, "en-de"):
                assert (model(**inputs).logits - expected).abs().max() < EXACT
            unspecialize(model)


def test_a_zero_shot_direction_computes_with_composed_masks() -> None:
    model = build_family("m2m100", dtype=torch.float64)
    inputs = padded_inputs(model)
    masks = random_masks(model, ("de-en", "en-fr"))
    composed = {site: masks["de-en" if site.startswith("encoder") else "en-fr"][site] for site in masks["de-en"]}
    expected = naive(model, composed, "weight", inputs).logits
    specialize(model, NeuronMasks.from_dict(masks).compose("de-fr", encoder="de-en", decoder="en-fr"))
    with use_direction(model, "de-fr"):
        assert (model(**inputs).logits - expected).abs().max() < EXACT


def test_masked_weights_are_of_one_direction() -> None:
    model = build_family("m2m100")
    specialize(model, random_masks(model), method="masked")
    with pytest.raises(DirectionError, match="method='masked' computes one direction at a time"):
        use_directions(model, ["en-de", "de-en"]).__enter__()
