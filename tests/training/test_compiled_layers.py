"""Layers that are compiled one by one: how many graphs there are over directions and batches of all sizes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from tests.helpers.masked import random_masks
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.models.batch import Batch
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import use_direction
from neuronspec.training.loss import batch_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import compiling, prepare_step

DIRECTIONS = tuple(f"en-x{index}" for index in range(60))
LAYERS, KINDS = 2, 2


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def small_model() -> M2M100ForConditionalGeneration:
    config = M2M100Config(
        vocab_size=50, d_model=8, encoder_layers=LAYERS, decoder_layers=LAYERS, encoder_ffn_dim=60, decoder_ffn_dim=60,
        encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64, pad_token_id=1, dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    return M2M100ForConditionalGeneration(config).train()


def batch(number: int) -> Batch:
    """Of another number of rows and other lengths than those before; some of so few tokens that compact doesn't pay."""
    generator = torch.Generator().manual_seed(number)
    rows, *lengths = (2 + number % 7, 3 + 5 * number % 23, 3 + 7 * number % 19)
    source, target = (torch.randint(4, 50, (rows, length), generator=generator) for length in lengths)
    source[0, -1] = target[0, -1] = 1
    inputs = {"input_ids": source, "attention_mask": (source != 1).long(), "decoder_input_ids": target.roll(1, 1)}
    return Batch("en-de", inputs | {"labels": target.masked_fill(target == 1, -100)})


def compiled(model: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[TrainingSettings, list[Any]]:
    """Prepare the model as on a GPU; the graphs that will be made, which are computed as they are."""
    settings, graphs = TrainingSettings(updates=1, compile=True), list[Any]()

    def backend(graph: torch.fx.GraphModule, example: list[Any]) -> Any:
        graphs.append(graph)
        return graph.forward

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "device", torch.device("cuda"))
        real = torch.nn.Module.compile
        patch.setattr(torch.nn.Module, "compile", lambda layer, **options: real(layer, backend=backend, **options))
        prepare_step(model, settings)
    return settings, graphs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("semantics", "method", "ways"),
    [(None, None, 1), ("weight", "auto", 2), ("weight", "masked", 1), ("gradient", "auto", 1)],
)
def test_all_directions_and_batches_share_their_graphs(
    semantics: str | None, method: Any, ways: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each kind of layer, and way to compute it: `auto` has two, compact and at full width."""
    model, eager = small_model(), small_model()
    masks = random_masks(model, DIRECTIONS)
    for each in (model, eager) if semantics else ():
        specialize(each, masks, semantics, method=method)
    settings, graphs = compiled(model, monkeypatch)
    chosen = set()
    with compiling(settings):
        for number, direction in enumerate(DIRECTIONS):
            losses = []
            for each in (model, eager):
                with use_direction(each, direction) if semantics else nullcontext():
                    losses.append(batch_loss(each, batch(number), 0.1).smoothed)
                    losses[-1].backward()
                    state = attached(each)
                    chosen |= set(state.active.compact if state and state.active else ())
            assert torch.allclose(losses[0], losses[1], rtol=1e-4)
    for name, value in model.named_parameters():
        assert torch.allclose(value.grad, eager.get_parameter(name).grad, atol=1e-3), name
    assert chosen == ({True, False} if ways == 2 else {None} if method == "masked" else chosen)
    assert len(graphs) == KINDS * ways
