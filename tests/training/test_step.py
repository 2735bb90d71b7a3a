"""Gradient checkpointing and compilation, as the recipe's settings switch them on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.toy_corpus import EN_DE, ToyStore, toy_model, toy_tokenizer

from neuronspec.batching.in_order import eval_batches
from neuronspec.core.errors import TrainingError
from neuronspec.models.batch import Batch
from neuronspec.models.fast_dropout import FastDropout
from neuronspec.models.sites import find_ffn_sites
from neuronspec.training import loss
from neuronspec.training.loss import batch_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import prepare_step


def settings(**given: Any) -> TrainingSettings:
    return TrainingSettings(updates=1, **given)


def toy_batch() -> Batch:
    pairs = ToyStore({EN_DE: 9}).pairs("train", EN_DE)
    return next(eval_batches(pairs, EN_DE, toy_tokenizer(), batch_tokens=1000))


def gradients(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(0)
    batch_loss(model, batch, 0.1).smoothed.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("family", ["m2m100", "mbart", "t5"])
def test_checkpointing_keeps_the_gradient(family: str) -> None:
    model = build_family(family, dtype=torch.float64).train()
    batch, layers = Batch(EN_DE, padded_inputs(model)), []
    find_ffn_sites(model)[-1].ups[0].register_forward_pre_hook(lambda *_: layers.append(1))
    expected = gradients(model, batch)
    once = len(layers)
    prepare_step(model, settings(gradient_checkpointing=True))
    found = gradients(model, batch)
    assert (once, len(layers) - once) == (1, 2)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-11), name
    prepare_step(model, settings())
    gradients(model, batch)
    assert len(layers) == 4


def test_checkpointing_with_dropout_draws_the_same_masks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is that of the function that was computed: torch's dropout, without checkpointing."""
    model = toy_model(dropout=0.3, dtype=torch.float64).train()
    batch = toy_batch()
    fast = gradients(model, batch)
    with monkeypatch.context() as patch:
        patch.setattr(loss, "_dropout", loss.any_direction)
        expected = gradients(model, batch)
    prepare_step(model, settings(gradient_checkpointing=True))
    found = gradients(model, batch)
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-11), name
    assert any(not torch.allclose(fast[name], value) for name, value in expected.items())


def test_fast_dropout_is_for_training_with_dropout() -> None:
    model = toy_model(dropout=0.1).train()
    assert isinstance(loss._dropout(model), FastDropout)
    assert not isinstance(loss._dropout(model.eval()), FastDropout)
    assert not isinstance(loss._dropout(toy_model(dropout=0.0).train()), FastDropout)


def test_the_gradient_with_fast_dropout_is_that_of_the_loss() -> None:
    """Against differences of the loss, with the same seed."""
    model = toy_model(dropout=0.3, dtype=torch.float64).train()
    batch = toy_batch()
    found = gradients(model, batch)

    def value() -> float:
        torch.manual_seed(0)
        return batch_loss(model, batch, 0.1).smoothed.item()

    for name in ("model.encoder.layers.0.fc1.weight", "model.decoder.layers.0.self_attn.q_proj.weight"):
        weight, step = model.get_parameter(name), 1e-6
        with torch.no_grad():
            weight[1, 2] += step
            above = value()
            weight[1, 2] -= 2 * step
            below = value()
            weight[1, 2] += step
        assert found[name][1, 2].item() == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-6)


def test_compiling_on_a_cpu_is_refused() -> None:
    with pytest.raises(TrainingError, match="set it to false"):
        prepare_step(toy_model(), settings(compile=True))


@pytest.mark.parametrize(
    ("family", "layers"),
    [
        ("m2m100", {"M2M100EncoderLayer": 2, "M2M100DecoderLayer": 3}),
        ("t5", {"T5Block": 4}),
        ("llama", {"LlamaDecoderLayer": 3}),
    ],
)
def test_what_is_compiled_elsewhere(family: str, layers: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    model, compiled = build_family(family), []
    names = set(model.state_dict())
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda layer, **how: compiled.append((type(layer).__name__, how)))
    prepare_step(model, settings(compile=True))
    assert Counter(name for name, _ in compiled) == layers
    assert all(how == {"dynamic": True} for _, how in compiled)
    assert set(model.state_dict()) == names


def test_a_model_without_checkpointing_is_refused() -> None:
    model = toy_model()
    model.supports_gradient_checkpointing = False
    with pytest.raises(TrainingError, match="m2m_100 models have none"):
        prepare_step(model, settings(gradient_checkpointing=True))
