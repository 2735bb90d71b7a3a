"""What arms put on models of every family: it computes the baseline at first, and then what its formula says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import EACH, build_family, expected_layers, padded_inputs
from tests.helpers.masked import random_masks

from neuronspec.arms.grouped import Route
from neuronspec.arms.lora import Lora, LoraInfo, linear_layers
from neuronspec.arms.masked import random_masks as permuted
from neuronspec.arms.swap import masked, swapped
from neuronspec.arms.weight_masks import matrices
from neuronspec.models.layers import find_layers
from neuronspec.models.linear import is_linear
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.criteria.magnitude import WeightMagnitude, weight_norms
from neuronspec.neurons.masks import NeuronMasks


def logits_of(model: Any, inputs: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("family", EACH)
def test_every_layer_is_found_with_attention_and_ffn(family: str) -> None:
    model = build_family(family)
    layers = find_layers(model)
    assert len(layers) == len({id(layer.module) for layer in layers}) == expected_layers(model)
    inside = {id(module) for layer in layers for module in layer.linear.values()}
    for site in find_ffn_sites(model):
        assert {id(layer) for layer in (*site.ups, site.down)} <= inside
    outside = {name for name, module in model.named_modules() if is_linear(module) and id(module) not in inside}
    assert all("lm_head" in name or "embed_out" in name for name in outside), outside
    assert all(len(layer.linear) >= 3 for layer in layers)  # those of attention too


@pytest.mark.parametrize("family", EACH)
def test_lora_computes_a_low_rank_update_of_every_linear_layer(family: str) -> None:
    pytest.importorskip("peft")
    model = build_family(family)
    inputs = padded_inputs(model)
    plain = logits_of(model, inputs)
    names = linear_layers(model)
    weights = {name: model.get_submodule(name).weight.detach().clone() for name in names}
    model.requires_grad_(False)
    info = LoraInfo(encoder=("a", "b"), decoder=("a", "b"), rank=2, alpha=4)
    added = Lora().put_on(model, info, seed=1)
    assert len(added.parameters) == 2 * 2 * len(names)
    added.use(Route("a", "a"))
    assert torch.equal(logits_of(model, inputs), plain)
    for parameter in added.parameters.values():
        torch.nn.init.normal_(parameter, std=0.2)
    found = logits_of(model, inputs)
    assert not torch.allclose(found, plain, atol=1e-3)
    added.use(None)
    assert torch.equal(logits_of(model, inputs), plain)
    merged = build_family(family)
    updated = {}
    for name, weight in weights.items():
        update = 2 * added.parameters[f"a.{name}.B"].detach() @ added.parameters[f"a.{name}.A"].detach()
        transposed = type(merged.get_submodule(name)).__name__ == "Conv1D"
        updated[f"{name}.weight"] = weight + (update.T if transposed else update)
    with swapped(merged, updated):
        assert torch.allclose(logits_of(merged, inputs), found, atol=1e-4)


@pytest.mark.parametrize("family", EACH)
def test_sub_networks_of_weights_cover_all_layers_and_are_undone(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    plain = logits_of(model, inputs)
    found = matrices(model)
    assert {name.removesuffix(".weight") for name in found} == {n for layer in find_layers(model) for n in layer.linear}
    with masked(model, {name: torch.zeros_like(weight, dtype=torch.bool) for name, weight in found.items()}):
        off = logits_of(model, inputs)
    assert not torch.allclose(off, plain, atol=1e-3) and torch.equal(logits_of(model, inputs), plain)


@pytest.mark.parametrize("family", EACH)
def test_controls_have_as_many_neurons(family: str) -> None:
    model = build_family(family)
    masks = NeuronMasks.from_dict(random_masks(model))
    for control in (WeightMagnitude(masks).masks(model), permuted(masks, 1)):
        for direction, sites in masks.items():
            assert {site: int(mask.sum()) for site, mask in control[direction].items()} == {
                site: int(mask.sum()) for site, mask in sites.items()
            }
    site = find_ffn_sites(model)[0]
    norms = weight_norms(site)
    assert norms.shape == (site.width,) and (norms > 0).all()
    chosen = WeightMagnitude(masks).masks(model)["en-de"][site.name]
    assert norms[chosen].min() >= norms[~chosen].max()
