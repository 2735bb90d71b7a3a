"""Semantics of another kind: a dense forward pass, gradients for the selected neurons' rows of the ups alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pydantic import ValidationError
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import random_masks
from torch import nn
from torch.nn import functional

from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import compact, compact_report, deployable
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.specialization.semantics.base import Selected, Semantics
from neuronspec.specialization.settings import SpecializationSettings


class UpdatesUps(Semantics):
    """Dense outputs; the ups of unselected neurons get no gradient."""

    compacts = False

    def up(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        fixed = functional.linear(x, layer.weight.detach(), layer.bias.detach())  # type: ignore[operator, arg-type]
        return selection.where(type(layer).forward(layer, x), fixed)

    def down(self, layer: nn.Module, x: torch.Tensor, selection: Selected) -> torch.Tensor:
        return type(layer).forward(layer, x)


@pytest.fixture
def registered() -> Iterator[None]:
    SEMANTICS.register("updates_ups", UpdatesUps)
    yield
    SEMANTICS.remove("updates_ups")


@pytest.mark.usefixtures("registered")
def test_semantics_may_leave_the_forward_pass_dense() -> None:
    model = build_family("m2m100")
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = model(**inputs).logits
    specialize(model, masks, semantics="updates_ups")
    rows = len(inputs["input_ids"])
    with use_directions(model, ["en-de", "de-en", *["en-de"] * (rows - 2)]):
        torch.testing.assert_close(model(**inputs).logits, expected)
    with use_direction(model, "en-de"):
        found = model(**inputs).logits
        torch.testing.assert_close(found, expected)
        found.square().sum().backward()
    for site in find_ffn_sites(model):
        mask, gradient = masks["en-de"][site.name], site.ups[0].weight.grad
        assert not gradient[~mask].any() and gradient[mask].any()
    with pytest.raises(ModelError, match="'updates_ups' computes all neurons in every direction: use the dense model"):
        compact(model, "en-de")
    with pytest.raises(ModelError, match="method='compact': semantics 'updates_ups' computes all neurons"):
        specialize(build_family("m2m100"), masks, semantics="updates_ups", method="compact")
    with pytest.raises(ModelError, match="method='masked': semantics 'updates_ups' computes all neurons"):
        specialize(build_family("m2m100"), masks, semantics="updates_ups", method="masked")


@pytest.mark.usefixtures("registered")
def test_such_semantics_are_deployed_as_the_dense_model() -> None:
    model = build_family("m2m100").eval()
    inputs = padded_inputs(model)
    expected, masks = model(**inputs).logits, random_masks(model)
    specialize(model, masks, semantics="updates_ups")
    served = deployable(model, "en-de")
    assert attached(served) is None and attached(model) is not None
    assert torch.equal(served(**inputs).logits, expected)
    report = compact_report(served)
    assert report.parameters == report.dense_parameters and str(report.direction) == "en-de"
    with pytest.raises(DirectionError):
        deployable(model, "de-fr")


@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_others_are_deployed_compact(semantics: str) -> None:
    model = build_family("m2m100").eval()
    specialize(model, random_masks(model), semantics=semantics)
    inputs = padded_inputs(model)
    small, same = deployable(model, "en-de"), compact(model, "en-de")
    assert compact_report(small) == compact_report(same)
    assert torch.equal(small(**inputs).logits, same(**inputs).logits)


@pytest.mark.usefixtures("registered")
def test_recipes_name_semantics() -> None:
    for name in SEMANTICS:
        assert SpecializationSettings(semantics=name).semantics == name
    with pytest.raises(ValidationError, match="did you mean 'weight'. Valid: gradient, neuron, updates_ups, weight"):
        SpecializationSettings(semantics="weigth")
