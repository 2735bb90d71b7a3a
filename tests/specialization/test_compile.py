"""`torch.compile` of specialized models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import padded_inputs
from tests.helpers.masked import gradients, naive, random_masks
from transformers import LlamaConfig, LlamaForCausalLM, M2M100Config, M2M100ForConditionalGeneration, PreTrainedModel

from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction, use_directions


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch._dynamo.reset()


def _llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=50, hidden_size=8, intermediate_size=60, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4, mlp_bias=True, pad_token_id=1, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def _m2m100() -> PreTrainedModel:
    config = M2M100Config(
        vocab_size=50, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=60, decoder_ffn_dim=60,
        encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    return M2M100ForConditionalGeneration(config).eval()


def _assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


@pytest.mark.parametrize(
    ("build", "semantics", "method"),
    [
        (_llama, "weight", "compact"),
        pytest.param(_llama, "weight", "rows", marks=pytest.mark.slow),
        pytest.param(_m2m100, "weight", "compact", marks=pytest.mark.slow),
        (_m2m100, "gradient", "auto"),
    ],
)
def test_a_compiled_model_follows_the_direction(build: Any, semantics: str, method: str) -> None:
    model = build()
    inputs, masks = padded_inputs(model), random_masks(model)
    dense = model(**inputs).logits
    expected = {direction: naive(model, masks[direction], semantics, inputs) for direction in masks}
    expected_gradients = {
        direction: gradients(model, naive(model, masks[direction], semantics, inputs).loss) for direction in masks
    }
    specialize(model, masks, semantics, method=method)
    compiled = torch.compile(model, backend="aot_eager")
    for direction in ("en-de", "de-en", "en-de"):
        with use_direction(compiled, direction):
            run = compiled(**inputs)
        assert torch.allclose(run.logits, expected[direction].logits, atol=1e-5)
        _assert_same(gradients(model, run.loss), expected_gradients[direction])
    with torch.no_grad():
        assert torch.allclose(compiled(**inputs).logits, dense, atol=1e-5)


@pytest.mark.parametrize("method", ["compact", "rows", "masked"])
def test_all_directions_share_one_graph(method: str) -> None:
    """Widths that differ by direction are dynamic."""
    model = _llama()
    inputs = padded_inputs(model)
    directions = tuple(f"en-x{index}" for index in range(60))
    specialize(model, random_masks(model, directions), method=method)
    graphs: list[object] = []

    def count(graph: torch.fx.GraphModule, example: list) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=count)
    with torch.no_grad():
        for direction in directions:
            with use_direction(compiled, direction):
                assert torch.allclose(compiled(**inputs).logits, model(**inputs).logits, atol=1e-5)
    assert len(graphs) == 1


@pytest.mark.parametrize(("semantics", "method"), [("weight", "compact"), ("weight", "masked"), ("gradient", "auto")])
def test_all_directions_share_one_graph_in_training(semantics: str, method: str) -> None:
    model = _llama()
    inputs = padded_inputs(model)
    directions = tuple(f"en-x{index}" for index in range(60))
    specialize(model, random_masks(model, directions), semantics, method=method)
    graphs: list[object] = []

    def count(graph: torch.fx.GraphModule, example: list) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=count)
    for direction in directions:
        with use_direction(model, direction):
            expected = gradients(model, model(**inputs).loss)
        with use_direction(compiled, direction):
            _assert_same(gradients(model, compiled(**inputs).loss), expected)
    assert len(graphs) == 1


def test_a_direction_for_each_row() -> None:
    model = _llama()
    inputs = padded_inputs(model)
    specialize(model, random_masks(model))
    compiled = torch.compile(model, backend="aot_eager")
    with torch.no_grad(), use_directions(model, ["en-de", "de-en", "en-de"]):
        assert torch.allclose(compiled(**inputs).logits, model(**inputs).logits, atol=1e-5)


def test_compiled_gradients_of_rows_in_their_directions() -> None:
    model = _llama()
    inputs = padded_inputs(model)
    specialize(model, random_masks(model), "gradient")
    rows = ["en-de", "de-en", "en-de"]
    with use_directions(model, rows):
        expected = gradients(model, model(**inputs).loss)
    compiled = torch.compile(model, backend="aot_eager")
    with use_directions(model, rows):
        _assert_same(gradients(model, compiled(**inputs).loss), expected)


@pytest.mark.parametrize(("semantics", "method"), [("weight", "compact"), ("gradient", "auto")])
def test_compile_with_gradient_checkpointing(semantics: str, method: str) -> None:
    model = _llama().train()
    inputs, masks = padded_inputs(model), random_masks(model)
    specialize(model, masks, semantics, method=method)
    with use_direction(model, "en-de"):
        expected = gradients(model, model(**inputs).loss)
    checkpoint_activations(model, True)
    compiled = torch.compile(model, backend="aot_eager")
    with use_direction(compiled, "en-de"):
        loss = compiled(**inputs).loss
    _assert_same(gradients(model, loss), expected)
