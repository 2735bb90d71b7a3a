"""The loss against plain torch, for every kind of head, and its independence of padding and chunks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.toy_corpus import DE_EN, EN_DE, ToyStore, toy_model, toy_tokenizer
from torch.nn.functional import cross_entropy, pad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neuronspec.batching.collate import ready
from neuronspec.batching.in_order import eval_batches
from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch
from neuronspec.models.frames import IGNORED
from neuronspec.models.precision import autocast
from neuronspec.training import loss as loss_module
from neuronspec.training import projected_loss as projection
from neuronspec.training.loss import LINEAR_HEADS, batch_loss, target_tokens, validation_loss

ENCODER_DECODER = ["m2m100", "mbart", "bart", "marian", "pegasus", "t5", "madlad", "mt5", "umt5"]
CAUSAL = ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "olmo2", "nemotron", "gpt2", "gpt-neox",
          "opt", "bloom"]  # fmt: skip
FAMILIES = [*ENCODER_DECODER, *CAUSAL]


def plain_loss(model: Any, batch: Batch, smoothing: float) -> torch.Tensor:
    inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
    logits, labels = model(**inputs).logits, batch.inputs["labels"]
    if not model.config.is_encoder_decoder:
        logits, labels = logits[:, :-1], labels[:, 1:]
    return cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
    )


def toy_batch(budget: int = 1000) -> Batch:
    pairs = ToyStore({EN_DE: 9}).pairs("train", EN_DE)
    return next(eval_batches(pairs, EN_DE, toy_tokenizer(), batch_tokens=budget))


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [projection.FEWEST_ROWS, 3])
def test_equals_plain_torch(family: str, smoothing: float, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "FEWEST_ROWS", rows)
    monkeypatch.setattr(projection, "LOGITS_HELD", {})
    model = build_family(family, dtype=torch.float64)
    batch = Batch(EN_DE, padded_inputs(model))
    expected = plain_loss(model, batch, smoothing)
    found = batch_loss(model, batch, smoothing)
    assert found.smoothed.item() == pytest.approx(expected.item(), abs=1e-9)
    assert found.nats.item() == pytest.approx(plain_loss(model, batch, 0.0).item(), abs=1e-9)
    assert not found.nats.requires_grad
    wanted, given = gradients(model, expected * 0.3), gradients(model, found.smoothed * 0.3)
    assert wanted.keys() == given.keys()
    for name, value in wanted.items():
        assert torch.allclose(given[name], value, rtol=1e-9, atol=1e-10), name


@pytest.mark.parametrize("family", [*FAMILIES, "cohere"])
def test_equals_the_loss_of_the_model_itself(family: str) -> None:
    """A decoder-only model's labels are shifted, an encoder-decoder model's aren't."""
    model = build_family(family)
    if family == "marian":
        model.final_logits_bias.normal_()
    batch = Batch(EN_DE, padded_inputs(model))
    expected = model(**batch.inputs).loss
    found = batch_loss(model, batch)
    assert (found.nats / target_tokens(model, batch)).item() == pytest.approx(expected.item(), abs=1e-5)
    assert (found.smoothed / target_tokens(model, batch)).item() == pytest.approx(expected.item(), abs=1e-5)
    (loss,) = validation_loss(model, [batch]).values()
    assert loss.per_token == pytest.approx(expected.item(), abs=1e-5)


def test_every_kind_of_linear_head_is_covered() -> None:
    assert {build_family(family).config.model_type for family in FAMILIES} == LINEAR_HEADS


@pytest.mark.parametrize("family", ["m2m100", "t5", "qwen3", "gemma2"])
def test_other_heads_give_all_logits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_family(family, dtype=torch.float64)
    batch = Batch(EN_DE, padded_inputs(model))
    expected = gradients(model, batch_loss(model, batch, 0.1).smoothed)
    monkeypatch.setattr(loss_module, "LINEAR_HEADS", frozenset())
    found = batch_loss(model, batch, 0.1)
    assert found.nats.item() == pytest.approx(plain_loss(model, batch, 0.0).item(), abs=1e-9)
    for name, value in gradients(model, found.smoothed).items():
        assert torch.allclose(value, expected[name], rtol=1e-9, atol=1e-10), name


@pytest.mark.parametrize("implementation", ["sdpa", "short", "eager"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("family", ["m2m100", "mbart", "bart", "marian", "pegasus", "t5", "llama"])
def test_what_is_known_beforehand_changes_nothing(family: str, padded: bool, implementation: str) -> None:
    """Positions, pieces and masks are those that would be found."""
    model = build_family(family, dtype=torch.float64)
    if implementation in ("eager", "sdpa") or family in ("m2m100", "bart"):
        model.set_attn_implementation(implementation)
    inputs = padded_inputs(model)
    if not padded:
        inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    expected = batch_loss(model, Batch(EN_DE, inputs), 0.1)
    wanted = gradients(model, expected.smoothed)
    found = batch_loss(model, Batch(EN_DE, inputs, ready(inputs, not model.config.is_encoder_decoder)), 0.1)
    assert found.nats.item() == pytest.approx(expected.nats.item(), abs=1e-9)
    for name, value in gradients(model, found.smoothed).items():
        assert torch.allclose(value, wanted[name], rtol=1e-9, atol=1e-10), name


def test_parts_of_a_batch_find_it_anew() -> None:
    batch, model = toy_batch(), toy_model(dropout=0.0).eval()
    halves = [batch_loss(model, half).nats for half in (batch.rows(0, 4), batch.rows(4, None))]
    assert batch.ready is not None and batch.rows(0, 4).ready is None
    assert sum(halves).item() == pytest.approx(batch_loss(model, batch).nats.item(), rel=1e-5)


class LargestTensor(TorchDispatchMode):
    """Keeps the number of elements of the largest floating-point tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_tensor_of_tokens_times_vocabulary(family: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "LOGITS_HELD", {})
    model, rows, time, vocabulary = build_family(family), 20, 40, 1000
    model.resize_token_embeddings(vocabulary)
    ids = torch.randint(3, vocabulary, (rows, time), generator=torch.Generator().manual_seed(0))
    ones = torch.ones_like(ids)
    inputs = {"input_ids": ids, "labels": ids, "attention_mask": ones}
    if model.config.is_encoder_decoder:
        inputs |= {"decoder_input_ids": ids, "decoder_attention_mask": ones}
    batch = Batch(EN_DE, inputs)
    with LargestTensor() as largest, autocast(model.device, precision):
        batch_loss(model, batch, 0.1).smoothed.backward()
    assert largest.elements == projection.FEWEST_ROWS * vocabulary
    assert largest.elements < rows * time * vocabulary / 3


def test_heads_are_tied_and_untied_scaled_and_capped() -> None:
    """What the list above is meant to cover."""
    tied = {family: build_family(family) for family in ("t5", "qwen2", "madlad", "mt5", "qwen3", "gemma2")}
    shared = {name: model.get_output_embeddings().weight is model.get_input_embeddings().weight
              for name, model in tied.items()}  # fmt: skip
    assert shared == {"t5": True, "qwen2": True, "madlad": False, "mt5": False, "qwen3": False, "gemma2": True}
    model = tied["gemma2"]
    inputs = padded_inputs(model)
    capped = batch_loss(model, Batch(EN_DE, inputs)).nats
    model.config.final_logit_softcapping = None
    assert abs(float(capped - batch_loss(model, Batch(EN_DE, inputs)).nats)) > 0.1


def test_bias_of_the_head_counts() -> None:
    model = build_family("marian", dtype=torch.float64)
    batch = Batch(EN_DE, padded_inputs(model))
    before = batch_loss(model, batch).nats
    model.final_logits_bias[0, 7] = 3.0
    assert batch_loss(model, batch).nats.item() == pytest.approx(plain_loss(model, batch, 0.0).item(), abs=1e-9)
    assert batch_loss(model, batch).nats != before


def test_within_1e6_in_float32() -> None:
    model, batch = toy_model().eval(), toy_batch()
    per_token = batch_loss(model, batch, 0.1).smoothed / target_tokens(model, batch)
    assert per_token.item() == pytest.approx(
        (plain_loss(model, batch, 0.1) / target_tokens(model, batch)).item(), abs=1e-6
    )


def test_padding_columns_change_nothing() -> None:
    model, batch = toy_model(dtype=torch.float64).eval(), toy_batch()
    fill = {"labels": IGNORED, "attention_mask": 0, "decoder_attention_mask": 0}
    wider = Batch(EN_DE, {name: pad(value, (0, 3), value=fill.get(name, 1)) for name, value in batch.inputs.items()})
    narrow, wide = batch_loss(model, batch, 0.1), batch_loss(model, wider, 0.1)
    assert wide.smoothed.item() == pytest.approx(narrow.smoothed.item(), abs=1e-9)
    assert target_tokens(model, wider) == target_tokens(model, batch)
    expected = gradients(model, narrow.smoothed)
    for name, value in gradients(model, wide.smoothed).items():
        assert torch.allclose(value, expected[name], atol=1e-10), name


def test_autocast_is_close_and_gives_float32_gradients() -> None:
    model, batch = toy_model().eval(), toy_batch()
    expected = gradients(model, batch_loss(model, batch, 0.1).smoothed)
    with torch.autocast("cpu", torch.bfloat16):
        loss = batch_loss(model, batch, 0.1).smoothed
    assert loss.dtype == torch.float32
    for name, value in gradients(model, loss).items():
        assert value.dtype == torch.float32
        assert (value - expected[name]).norm() <= 0.05 * expected[name].norm() + 0.01, name


def test_validation_by_direction_does_not_depend_on_batches() -> None:
    model, store, tokenizer = toy_model(dropout=0.5).train(), ToyStore({EN_DE: 20, DE_EN: 10}), toy_tokenizer()
    seen: list[Direction] = []

    def in_direction(direction: Direction) -> Any:
        from contextlib import nullcontext

        seen.append(direction)
        return nullcontext()

    def losses(budget: int) -> dict[Direction, Any]:
        batches = [
            batch
            for direction in (DE_EN, EN_DE)
            for batch in eval_batches(store.pairs("train", direction), direction, tokenizer, batch_tokens=budget)
        ]
        return validation_loss(model, batches, in_direction)

    large, small = losses(1000), losses(1)
    assert model.training
    assert set(large) == {EN_DE, DE_EN} == set(seen)
    assert len(seen) == 2 + 30
    for direction, loss in large.items():
        tokens = int((store.pairs("train", direction).target_lengths + 1).sum())
        assert loss.tokens == small[direction].tokens == tokens
        assert loss.nats == pytest.approx(small[direction].nats, rel=1e-6)
        assert loss.per_token == loss.nats / tokens
