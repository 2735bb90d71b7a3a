"""The attention for short sequences against `transformers`' own, in float64."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.families import EACH, FAMILIES, build_family, padded_inputs
from tests.helpers.toy_arm import toy_recipe
from tests.helpers.toy_corpus import toy_model
from transformers import AttentionInterface, AutoModelForCausalLM, M2M100ForConditionalGeneration

from neuronspec.core.errors import ModelError
from neuronspec.core.run_folder import RunFolder
from neuronspec.models import fast_attention as attention
from neuronspec.models.compatibility import checkpoint_activations, has_sdpa
from neuronspec.models.fast_attention import SHORT, short_attention, use_fast_attention
from neuronspec.models.fast_dropout import FastDropout
from neuronspec.models.load import load_model
from neuronspec.models.precision import autocast
from neuronspec.runs.stages import Run
from neuronspec.runs.tasks import Task, tasks_of

IMPLEMENTATIONS = ["eager", "sdpa", SHORT]


def model_with(implementation: str, dropout: float = 0.0) -> M2M100ForConditionalGeneration:
    model = toy_model(dropout=dropout, dtype=torch.float64).eval()
    model.set_attn_implementation(implementation)
    return model


def inputs(pad_left: bool = False, padding: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(4, 16, (3, length), generator=generator) for length in (7, 5))
    masks = [torch.ones_like(source), torch.ones_like(target)]
    if padding:
        for mask in masks:
            mask[1, 3:] = 0
            mask[2, 1:] = 0
        if pad_left:
            masks = [mask.flip(1) for mask in masks]
    source, target = (ids.masked_fill(mask == 0, 1) for ids, mask in zip((source, target), masks, strict=True))
    names = "input_ids", "decoder_input_ids", "attention_mask", "decoder_attention_mask"
    return dict(zip(names, (source, target, *masks), strict=True))


def gradients(model: M2M100ForConditionalGeneration) -> dict[str, torch.Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("padding", ["none", "right", "left"])
@pytest.mark.parametrize("reference", ["eager", "sdpa"])
def test_outputs_and_gradients_equal_those_of_transformers(reference: str, padding: str) -> None:
    batch = inputs(pad_left=padding == "left", padding=padding != "none")
    results = []
    for implementation in (reference, SHORT):
        model = model_with(implementation)
        real = batch["decoder_attention_mask"].bool()
        outputs = model(**batch)
        (outputs.logits[real].square().sum()).backward()
        encoded = outputs.encoder_last_hidden_state[batch["attention_mask"].bool()]
        results.append((encoded.detach(), outputs.logits[real].detach(), gradients(model)))
    for found, expected in zip(results[1][:2], results[0][:2], strict=True):
        assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert results[0][2].keys() == results[1][2].keys()
    for name, expected in results[0][2].items():
        assert torch.allclose(results[1][2][name], expected, rtol=1e-9, atol=1e-10), name


@pytest.mark.parametrize("family", EACH)
def test_other_models_keep_their_outputs(family: str) -> None:
    model = build_family(family, dtype=torch.float64)
    batch = padded_inputs(model)
    real = batch["decoder_attention_mask" if model.config.is_encoder_decoder else "attention_mask"].bool()
    if not has_sdpa(model):
        model.set_attn_implementation("eager")  # transformers 5.17 opens Gemma 2 with SDPA
    expected = model(**batch).logits[real]
    use_fast_attention(model)
    assert torch.allclose(model(**batch).logits[real], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name.startswith("gemma")])
def test_soft_caps_are_computed_as_the_stock_model_computes_them(family: str, tmp_path: Path) -> None:
    """SDPA knows no soft cap of attention: Gemma 2 stays with `eager`, also where it is opened."""
    build_family(family).save_pretrained(tmp_path)
    stock = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    opened = load_model(tmp_path, "cpu")
    capped = getattr(stock.config, "attn_logit_softcapping", None) is not None
    assert (opened.config._attn_implementation == "eager") == capped == (family == "gemma2")
    batch = padded_inputs(stock)
    real = batch["attention_mask"].bool()
    expected = stock(**batch).logits[real]
    assert torch.allclose(opened(**batch).logits[real], expected, rtol=1e-5, atol=1e-6)
    if capped:
        stock.config.attn_logit_softcapping = None
        for layer in stock.model.layers:
            layer.self_attn.attn_logit_softcapping = None
        assert not torch.allclose(stock(**batch).logits[real], expected, rtol=1e-3, atol=1e-4)  # it shows


def test_short_attention_was_really_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(
        AttentionInterface._global_mapping,
        SHORT,
        lambda module, *args, **kwargs: calls.append(module) or short_attention(module, *args, **kwargs),
    )
    monkeypatch.setattr(attention, "sdpa_attention_forward", None)
    model_with(SHORT)(**inputs())
    assert len(calls) == 3  # encoder, decoder, cross


@pytest.mark.parametrize("mode", ["eval", "training", "checkpointing", "bf16"])
@pytest.mark.parametrize("padding", ["no mask", "none", "right", "left"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_later_target_token_cannot_change_an_earlier_output(implementation: str, padding: str, mode: str) -> None:
    """In training with dropout too, whose masks are then the same by the same seed."""
    model = model_with(implementation, dropout=0.0 if mode == "eval" else 0.3)
    batch = inputs(pad_left=padding == "left", padding=padding in ("right", "left"))
    if padding == "no mask":
        del batch["decoder_attention_mask"]
    model.train(mode != "eval")
    if mode == "checkpointing":
        checkpoint_activations(model, True)

    def logits(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        torch.manual_seed(0)
        with nullcontext() if mode != "training" else FastDropout(), autocast(model.device, precision):
            return model(**batch).logits

    precision = "bf16" if mode == "bf16" else "float32"
    real = batch.get("decoder_attention_mask", torch.ones_like(batch["decoder_input_ids"])).bool()
    before = logits(batch)
    for position in range(1, real.shape[1]):
        changed = copy.deepcopy(batch)
        changed["decoder_input_ids"][:, position:] = 15
        after = logits(changed)
        earlier = real[:, :position]
        assert torch.equal(after[:, :position][earlier], before[:, :position][earlier])
        assert not torch.allclose(after[:, position:][real[:, position:]], before[:, position:][real[:, position:]])


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_later_target_token_cannot_reach_an_earlier_gradient(implementation: str, padding: bool) -> None:
    """The loss at a position has no gradient in the embeddings of later target tokens."""
    model, batch = model_with(implementation), inputs(padding=padding)
    embedded = model.get_decoder().embed_tokens(batch.pop("decoder_input_ids")).detach().requires_grad_()
    logits = model(**batch, decoder_inputs_embeds=embedded).logits
    for position in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[0, position].square().sum(), embedded, retain_graph=True)
        assert not gradient[:, position + 1 :].any()
        assert gradient[0, : position + 1].abs().sum(-1).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_decoding_step_by_step_equals_one_pass(implementation: str) -> None:
    """With a cache no later token exists, so what a whole pass gives at a position can't come from one."""
    model, batch = model_with(implementation), inputs()
    target = inputs(padding=False)["decoder_input_ids"]
    source = {name: batch[name] for name in ("input_ids", "attention_mask")}
    whole = model(**source, decoder_input_ids=target).logits
    cache, encoded = None, model.get_encoder()(**source)
    for position in range(target.shape[1]):
        step = model(
            encoder_outputs=encoded, attention_mask=source["attention_mask"],
            decoder_input_ids=target[:, position : position + 1], past_key_values=cache, use_cache=True,
        )  # fmt: skip
        cache = step.past_key_values
        assert torch.allclose(step.logits[:, 0], whole[:, position], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("padding", [True, False])
def test_decoding_with_a_cache_equals_one_pass(padding: bool) -> None:
    model, batch = model_with(SHORT), inputs(padding=padding)
    target = inputs(padding=False)["decoder_input_ids"]
    source = {name: batch[name] for name in ("input_ids", "attention_mask")}
    whole = model(**source, decoder_input_ids=target).logits
    cache, encoded, steps = None, model.get_encoder()(**source), []
    for first, last in ((0, 2), (2, 3), (3, 5)):  # a step of several tokens on a filled cache as well
        outputs = model(
            encoder_outputs=encoded,
            attention_mask=source["attention_mask"],
            decoder_input_ids=target[:, first:last],
            past_key_values=cache,
            use_cache=True,
        )
        cache = outputs.past_key_values
        steps.append(outputs.logits)
    assert torch.allclose(torch.cat(steps, dim=1), whole, rtol=1e-10, atol=1e-12)


def test_generation_equals_that_of_sdpa() -> None:
    batch = {name: value for name, value in inputs().items() if not name.startswith("decoder")}
    found, expected = (model_with(name).generate(**batch, num_beams=3, max_new_tokens=8) for name in (SHORT, "sdpa"))
    assert torch.equal(found, expected)


def test_padding_cannot_change_an_output() -> None:
    model, batch = model_with(SHORT), inputs()
    wider = {
        name: torch.nn.functional.pad(value, (0, 4), value=int("mask" not in name)) for name, value in batch.items()
    }
    real = batch["decoder_attention_mask"].bool()
    assert torch.allclose(model(**wider).logits[:, :5][real], model(**batch).logits[real], rtol=1e-10, atol=1e-12)


def test_long_sequences_go_to_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = model_with("sdpa")(**inputs()).logits
    monkeypatch.setattr(attention, "LONGEST_SQUARE", 0)
    assert torch.equal(model_with(SHORT)(**inputs()).logits, expected)


def test_dropout_drops_weights_in_training_only() -> None:
    module = torch.nn.Module()
    query, key, value = (torch.randn(1, 2, 4, 8, generator=torch.Generator().manual_seed(n)) for n in range(3))
    torch.manual_seed(0)
    plain, _ = short_attention(module, query, key, value, None, dropout=0.0)
    dropped, _ = short_attention(module, query, key, value, None, dropout=0.5)
    assert not torch.allclose(plain, dropped)


def test_chosen_on_a_cpu_and_not_saved(tmp_path) -> None:
    model = toy_model()
    use_fast_attention(model)
    assert model.config._attn_implementation == SHORT
    model.save_pretrained(tmp_path)
    assert SHORT not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_the_recipe_may_choose(name: str) -> None:
    model = build_family("m2m100")
    inputs = padded_inputs(model)
    expected = model(**inputs).logits
    with attention.attention(name):
        use_fast_attention(model)
    assert model.config._attn_implementation == name
    torch.testing.assert_close(model(**inputs).logits, expected, atol=1e-5, rtol=1e-4)
    use_fast_attention(model)
    assert model.config._attn_implementation == SHORT


def test_what_cannot_be_computed_here_is_told() -> None:
    with (
        attention.attention("flash_attention_2"),
        pytest.raises(ModelError, match="model.attention is flash_attention_2, and a M2M100"),
    ):
        use_fast_attention(build_family("m2m100"))


def test_soft_caps_are_not_lost_by_choosing_sdpa() -> None:
    with attention.attention("sdpa"), pytest.raises(ModelError, match="model.attention is sdpa, and a Gemma2"):
        use_fast_attention(build_family("gemma2"))


def test_a_run_computes_so(tmp_path: Path) -> None:
    seen: list[str] = []

    def work(run: Any) -> None:
        model = build_family("m2m100")
        use_fast_attention(model)
        seen.append(model.config._attn_implementation)

    task = Task("train", (), {}, (), work)
    for section in ({}, {"attention": "eager"}):
        task.do(Run(toy_recipe(model=section), RunFolder(tmp_path)))
    assert seen == [SHORT, "eager"]
    settings = [
        next(t for t in tasks_of(toy_recipe(model=section)) if t.name == "train").settings
        for section in ({}, {"attention": "eager"})
    ]
    assert "attention" not in settings[0]["model"] and settings[1]["model"]["attention"] == "eager"
