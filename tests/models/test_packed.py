"""Layers on real tokens alone: the same losses and gradients, and no work on padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import gradients, methods, random_masks

import neuronspec as ns
from neuronspec.batching.collate import ready
from neuronspec.core.direction import Direction
from neuronspec.models import fast_attention
from neuronspec.models.batch import Batch, MixedBatch
from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.models.fast_attention import SHORT, packs
from neuronspec.models.packed import Packing, Side
from neuronspec.models.sites import find_ffn_sites
from neuronspec.training.loss import batch_loss

EN_DE = Direction("en", "de")


def padded_batch(model: Any) -> Batch:
    inputs = padded_inputs(model)
    return Batch(EN_DE, inputs, ready(inputs, is_causal=False))


def model_of(family: str) -> Any:
    model = build_family(family, dtype=torch.float64)
    model.set_attn_implementation(SHORT)
    return model


def rows_in_ffns(model: Any, batch: Batch) -> list[tuple[int, ...]]:
    """The form of what each FFN reads, without its width."""
    found: list[tuple[int, ...]] = []
    handles = [
        site.ups[0].register_forward_pre_hook(lambda _, arguments: found.append(tuple(arguments[0].shape[:-1])))
        for site in find_ffn_sites(model)
    ]
    batch_loss(model, batch)
    for handle in handles:
        handle.remove()
    return found


def with_and_without(monkeypatch: pytest.MonkeyPatch, model: Any, batch: Batch) -> list[tuple[float, dict[str, Any]]]:
    results = []
    for least in (0.0, 2.0):
        monkeypatch.setattr(fast_attention, "LEAST_PADDING", least)
        loss = batch_loss(model, batch, 0.1)
        results.append((loss.nats.item(), gradients(model, loss.smoothed)))
    return results


def check_equal(results: list[tuple[float, dict[str, Any]]]) -> None:
    (found, packed), (expected, padded) = results
    assert found == pytest.approx(expected, abs=1e-9)
    assert packed.keys() == padded.keys()
    for name, value in padded.items():
        assert torch.allclose(packed[name], value, rtol=1e-9, atol=1e-10), name


@pytest.mark.parametrize("family", ["m2m100", "mbart", "bart", "marian", "pegasus"])
def test_losses_and_gradients_are_those_of_padded_batches(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(family)
    batch = padded_batch(model)
    check_equal(with_and_without(monkeypatch, model, batch))
    monkeypatch.undo()
    sources, targets = (int(batch.inputs[name].sum()) for name in ("attention_mask", "decoder_attention_mask"))
    assert rows_in_ffns(model, batch) == [(1, sources)] * 2 + [(1, targets)] * (len(find_ffn_sites(model)) - 2)


@pytest.mark.parametrize("method", methods("neuron"))
def test_masks_compute_the_same(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("m2m100")
    ns.specialize(model, random_masks(model), semantics="neuron", method=method)
    batch = padded_batch(model)
    dense = batch_loss(model, batch).nats.item()
    with ns.use_direction(model, "en-de"):
        results = with_and_without(monkeypatch, model, batch)
    check_equal(results)
    assert results[0][0] != pytest.approx(dense)


@pytest.mark.parametrize("dropped", [0.5, 1.0])
def test_layers_that_are_left_out_at_random_pack_nothing(dropped: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("m2m100").train()
    model.config.encoder_layerdrop = model.model.encoder.layerdrop = dropped
    model.model.decoder.layerdrop = dropped
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    batch = padded_batch(model)
    for seed in range(6):
        results = []
        for least in (0.0, 2.0):
            monkeypatch.setattr(fast_attention, "LEAST_PADDING", least)
            torch.manual_seed(seed)
            loss = batch_loss(model, batch, 0.1)
            results.append((loss.nats.item(), gradients(model, loss.smoothed)))
        check_equal(results)


def test_where_padding_stays() -> None:
    model = model_of("m2m100")
    batch = padded_batch(model)
    padded = {(3, 6), (3, 5)}
    assert not padded & set(rows_in_ffns(model, batch))
    mixed = MixedBatch(EN_DE, batch.inputs, batch.ready, (EN_DE, Direction("de", "en"), EN_DE))
    assert set(rows_in_ffns(model, mixed)) == padded, "its rows are of several directions"
    one = ready({name: tensor[:1] for name, tensor in batch.inputs.items()}, is_causal=False)
    assert not packs(model, one.packing), "nothing is padded"
    assert batch.ready is not None and packs(model, batch.ready.packing)
    model.set_attn_implementation("sdpa")
    assert not packs(model, batch.ready.packing)
    model.set_attn_implementation(SHORT)
    checkpoint_activations(model, True)
    assert not packs(model, batch.ready.packing), "the backward pass would compute layers on other states"
    t5 = build_family("t5")
    t5.set_attn_implementation(SHORT)
    assert not packs(t5, batch.ready.packing), "its positions are told to attention"


def test_packing_has_its_gradient() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    side = Side.of(mask)
    states = torch.randn(3, 3, 2, dtype=torch.float64, requires_grad=True)
    packed = side.pack(states)
    assert packed.shape == (1, 6, 2) and torch.equal(packed[0], states[mask.bool()])
    assert side.pack(packed) is packed
    assert torch.autograd.gradcheck(side.pack, (states,)) and torch.autograd.gradgradcheck(side.pack, (states,))
    assert Packing(side, Side.of(torch.ones(3, 1))).padding == pytest.approx(3 / 12)


def test_heads_are_put_in_rows_and_back() -> None:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    side = Side.of(mask)
    packed = torch.randn(1, 4, 6, 2, dtype=torch.float64, requires_grad=True)  # heads, tokens, width
    rows = side.to_heads(packed)
    assert rows.shape == (3, 4, 3, 2)
    assert torch.equal(rows.transpose(1, 2)[mask.bool()], packed[0].transpose(0, 1))
    assert torch.equal(side.from_heads(rows), packed.transpose(1, 2))
    assert torch.autograd.gradcheck(lambda given: side.to_heads(given) * mask[:, None, :, None], (packed,))
    assert torch.autograd.gradcheck(side.from_heads, (rows.detach().requires_grad_(),))


def test_dropout_of_packed_layers_follows_the_seed() -> None:
    model = model_of("m2m100").train()
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.3
    batch = padded_batch(model)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(batch_loss(model, batch).nats.item())
    assert losses[0] == losses[1] != losses[2]
