"""Gradient checkpointing: the recomputed forward is that of the direction, wherever the backward pass runs."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import gradients, naive, random_masks
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)
from torch.utils.checkpoint import checkpoint

from neuronspec.core.errors import DirectionError
from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.checkpointing import keeping_direction
from neuronspec.specialization.scope import use_direction, use_directions

DIRECTIONS = ("en-de", "de-en")


def _expected(model: nn.Module, masks: dict, inputs: dict, semantics: str = "weight") -> dict[str, torch.Tensor]:
    loss = sum(naive(model, masks[direction], semantics, inputs).loss for direction in DIRECTIONS)
    return gradients(model, loss)


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() < 1e-6, name


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama", "gpt2", "opt", "bloom"])
@pytest.mark.parametrize(("semantics", "method"), [("weight", "compact"), ("weight", "rows"), ("gradient", "rows")])
@pytest.mark.parametrize("reentrant", [False, True])
def test_backward_after_the_scopes_have_ended(family: str, semantics: str, method: str, reentrant: bool) -> None:
    """Two forwards in two directions, then one backward through both, outside of any direction."""
    model = build_family(family, dtype=torch.float64).train()
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = _expected(model, masks, inputs, semantics)
    specialize(model, masks, semantics, method=method)
    checkpoint_activations(model, True, reentrant=reentrant)
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    if reentrant:
        model.enable_input_require_grads()
    loss = torch.zeros((), dtype=torch.float64)
    for direction in DIRECTIONS:
        with use_direction(model, direction):
            loss = loss + model(**inputs).loss
    _assert_same(gradients(model, loss), expected)
    with use_direction(model, "en-de"):  # and inside of another direction's scope
        loss = naive(model, masks["en-de"], semantics, inputs).loss * 0
    for direction in DIRECTIONS:
        with use_direction(model, direction):
            loss = loss + model(**inputs).loss
    with use_direction(model, "en-de"):
        _assert_same(gradients(model, loss), expected)


@pytest.mark.parametrize("semantics", ["neuron", "gradient"])
def test_a_direction_for_each_row_with_checkpointing(semantics: str) -> None:
    model = build_family("m2m100", dtype=torch.float64).train()
    inputs, masks = padded_inputs(model, rows=2), random_masks(model)
    specialize(model, masks, semantics)
    with use_directions(model, DIRECTIONS):
        expected = gradients(model, model(**inputs).loss)
    checkpoint_activations(model, True)
    with use_directions(model, DIRECTIONS):
        loss = model(**inputs).loss
    _assert_same(gradients(model, loss), expected)


def test_dense_forwards_between_scopes_stay_dense() -> None:
    model = build_family("m2m100", dtype=torch.float64).train()
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = gradients(model, model(**inputs).loss)
    specialize(model, masks)
    checkpoint_activations(model, True)
    with use_direction(model, "en-de"):
        pass
    loss = model(**inputs).loss
    with use_direction(model, "en-de"):
        _assert_same(gradients(model, loss), expected)
    unspecialize(model)
    _assert_same(gradients(model, model(**inputs).loss), expected)


def test_torch_checkpoint_wrapper() -> None:
    model = build_family("m2m100", dtype=torch.float64).train()
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = _expected(model, masks, inputs)
    names = list(dict(model.named_parameters()))
    layer_type = type(model.model.encoder.layers[0])
    apply_activation_checkpointing(
        model,
        checkpoint_wrapper_fn=lambda m: checkpoint_wrapper(m, checkpoint_impl=CheckpointImpl.NO_REENTRANT),
        check_fn=lambda module: isinstance(module, layer_type),
    )
    specialize(model, masks)
    loss = torch.zeros((), dtype=torch.float64)
    for direction in DIRECTIONS:
        with use_direction(model, direction):
            loss = loss + model(**inputs).loss
    found = gradients(model, loss)
    _assert_same(dict(zip(names, found.values(), strict=True)), expected)


class _Checkpointed(nn.Module):
    """A layer that is checkpointed by hand."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.around = lambda function: function

    def forward(self, *args: object, **kwargs: object) -> object:
        return checkpoint(self.around(self.layer), *args, use_reentrant=False, **kwargs)


def test_checkpointing_by_hand_is_refused_unless_the_direction_is_kept() -> None:
    model = build_family("m2m100", dtype=torch.float64).train()
    inputs, masks = padded_inputs(model), random_masks(model)
    names = list(dict(model.named_parameters()))
    expected = _expected(model, masks, inputs)
    layers = model.model.encoder.layers
    for index, layer in enumerate(layers):
        layers[index] = _Checkpointed(layer)
    specialize(model, masks)
    with use_direction(model, "en-de"):
        loss = model(**inputs).loss
        with pytest.raises(DirectionError, match=r"encoder\.1 is computed again.*keeping_direction"):
            loss.backward()
    for layer in layers:
        layer.around = lambda function: keeping_direction(model, function)
    loss = torch.zeros((), dtype=torch.float64)
    for direction in DIRECTIONS:
        with use_direction(model, direction):
            loss = loss + model(**inputs).loss
    found = gradients(model, loss)
    _assert_same(dict(zip(names, found.values(), strict=True)), expected)
