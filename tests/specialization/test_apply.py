"""Putting masks on and taking them off: what stays the same, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import random_masks
from torch import nn

from neuronspec.core.errors import MaskError, ModelError
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction


def test_parameters_names_and_modules_stay() -> None:
    model = build_family("m2m100")
    parameters = dict(model.named_parameters())
    names, modules = list(model.state_dict()), [name for name, _ in model.named_modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    specialize(model, random_masks(model))
    assert list(model.state_dict()) == names
    assert [name for name, _ in model.named_modules()] == modules
    assert all(parameters[name] is parameter for name, parameter in model.named_parameters())
    with use_direction(model, "en-de"):
        model(**padded_inputs(model)).loss.backward()
    before = model.model.decoder.layers[0].fc2.weight.clone()
    optimizer.step()
    assert not torch.equal(model.model.decoder.layers[0].fc2.weight, before)


def test_unspecialize_restores_the_dense_model_with_its_present_parameters() -> None:
    model = build_family("m2m100")
    inputs = padded_inputs(model)
    untouched = {name: vars(module).copy() for name, module in model.named_modules()}
    specialize(model, random_masks(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    unspecialize(model)
    assert {name: vars(module).keys() for name, module in model.named_modules()} == {
        name: attributes.keys() for name, attributes in untouched.items()
    }
    dense = build_family("m2m100")
    dense.load_state_dict(model.state_dict())
    assert torch.equal(model(**inputs).logits, dense(**inputs).logits)
    with pytest.raises(ModelError, match="isn't specialized: call specialize"):
        unspecialize(model)


def test_specializing_twice_is_refused() -> None:
    model = build_family("m2m100")
    specialize(model, random_masks(model))
    with pytest.raises(ModelError, match="specialized already: call unspecialize"):
        specialize(model, random_masks(model))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"semantics": "weights"}, r"semantics='weights': did you mean 'weight'\? Valid: gradient, neuron, weight"),
        ({"components": "all"}, "components='all': valid: both, decoder, encoder"),
        ({"method": "row"}, "method='row': did you mean 'rows'"),
    ],
)
def test_mistyped_options_list_the_choices(option: dict, message: str) -> None:
    model = build_family("m2m100")
    with pytest.raises(ModelError, match=message):
        specialize(model, random_masks(model), **option)


def test_a_model_without_the_component_is_refused() -> None:
    model = build_family("llama")
    with pytest.raises(ModelError, match="components='encoder': this LlamaForCausalLM has no encoder"):
        specialize(model, random_masks(model), components="encoder")
    specialize(model, random_masks(model), components="decoder")


def test_masks_of_another_model_say_how_they_differ() -> None:
    model = build_family("m2m100")
    for other in ("llama", "bloom", "t5"):
        with pytest.raises(MaskError, match="of another model"):
            specialize(model, random_masks(build_family(other)))
    masks = random_masks(model)
    masks["en-de"]["decoder.2"] = masks["de-en"]["decoder.2"] = torch.ones(7, dtype=torch.bool)
    with pytest.raises(MaskError, match="decoder.2 has 7 neurons in the masks, 16 in the model"):
        specialize(model, masks)
    for by_site in masks.values():
        del by_site["decoder.2"]
    with pytest.raises(MaskError, match="only in the model: decoder.2"):
        specialize(model, masks)
    assert all("forward" not in vars(module) for module in model.modules()), "a refused model stays as it was"


def test_a_mask_without_neurons_is_refused() -> None:
    model = build_family("m2m100")
    masks = random_masks(model)
    masks["de-en"]["encoder.1"] = torch.zeros_like(masks["de-en"]["encoder.1"])
    with pytest.raises(MaskError, match="mask of de-en at encoder.1 selects no neuron"):
        specialize(model, masks)


def test_layers_that_are_not_plain_are_refused() -> None:
    class Wrapped(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.in_features, self.out_features = base, base.in_features, base.out_features

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x)

    model = build_family("m2m100")
    masks = random_masks(model)
    layer = model.model.encoder.layers[1]
    layer.fc1 = Wrapped(layer.fc1)
    with pytest.raises(ModelError, match="encoder.1 has a Wrapped: only plain linear layers"):
        specialize(model, masks)


def test_a_forward_that_another_library_replaced_is_refused() -> None:
    model = build_family("m2m100")
    layer = model.model.encoder.layers[1].fc2
    layer.forward = layer.forward
    with pytest.raises(ModelError, match="encoder.1: the forward of a Linear has been replaced"):
        specialize(model, random_masks(model))


def test_a_deep_copy_is_specialized_on_its_own() -> None:
    model = build_family("m2m100")
    inputs = padded_inputs(model)
    specialize(model, random_masks(model))
    with use_direction(model, "en-de"):
        expected = model(**inputs).logits
        twin = copy.deepcopy(model)
        inside = twin(**inputs).logits
    assert torch.equal(inside, model(**inputs).logits), "a copy starts outside of any direction"
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with use_direction(twin, "en-de"):
        assert torch.equal(twin(**inputs).logits, expected)
    unspecialize(twin)
    with use_direction(model, "en-de"):
        model(**inputs)


def test_identical_masks_share_one_vector_and_only_some_directions_stay_on_the_device() -> None:
    model = build_family("m2m100")
    languages = [f"x{index}" for index in range(30)]
    one = random_masks(model)["en-de"]
    specialize(model, {f"en-{language}": {k: v.clone() for k, v in one.items()} for language in languages})
    state = model._neuronspec
    for language in languages:
        with use_direction(model, f"en-{language}"):
            pass
    assert len(state._prepared) == 16
    assert len({id(selections[0]) for selections in state._prepared.values()}) == 1
    assert len(state._shared) == len(find_ffn_sites(model))


def test_specialize_returns_the_model_it_changed() -> None:
    model = build_family("m2m100")
    assert specialize(model, random_masks(model)) is model
