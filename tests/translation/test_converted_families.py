"""CTranslate2 translates as `transformers` does, in float32, whatever the family; what it can't compute is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.helpers.converted import CONVERTED, DIRECTIONS, SOURCES, made, opened, remade
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import toy_tokenizer
from transformers import AutoModelForCausalLM

from neuronspec.core.errors import ModelError
from neuronspec.models.load import build_model
from neuronspec.models.settings import ModelSettings
from neuronspec.specialization.apply import specialize
from neuronspec.translation.conversion import check_convertible
from neuronspec.translation.convertible import why_not_converted
from neuronspec.translation.engine import make_engine
from neuronspec.translation.settings import EvaluationSettings


@pytest.fixture(scope="module", params=sorted(CONVERTED))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("specialized", [False, True], ids=["dense", "specialized"])
def test_both_engines_give_the_same_hypotheses(checkpoint: Path, specialized: bool, beam: int) -> None:
    model, tokenizer = opened(checkpoint)
    if specialized:
        specialize(model, random_masks(model), semantics="neuron")
    for direction in DIRECTIONS:
        one, other = (
            make_engine(model, tokenizer, EvaluationSettings(engine=engine, beam=beam, max_new_tokens=12)).translate(
                SOURCES, direction
            )
            for engine in ("transformers", "ctranslate2")
        )
        assert len(set(one)) > 2
        assert list(one) == list(other)
        for mine, theirs in zip(one.nbest, other.nbest, strict=True):
            assert [score for _, score in mine] == pytest.approx([score for _, score in theirs], abs=1e-4)


def test_an_encoder_with_its_own_embeddings_keeps_them() -> None:
    settings = ModelSettings(preset="tiny", d_model=16, share_embeddings="decoder", init_std=0.4)
    model = build_model(settings, toy_tokenizer(), seed=1).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.05 if weight is model.lm_head.weight else 0.6)
    settings = EvaluationSettings(beam=2, max_new_tokens=8)
    sources = ["w1 w2", "w3", "w4 w5 w6 w7"]
    one, other = (
        make_engine(model, toy_tokenizer(), settings.model_copy(update={"engine": engine})).translate(
            sources, DIRECTIONS[0]
        )
        for engine in ("transformers", "ctranslate2")
    )
    scores = [[score for _, score in lines[0]] for lines in zip(one.nbest, strict=True)]
    assert len({first for first, *_ in scores}) == len(sources), "the encoder tells the sources apart"
    for found, lines in zip(scores, other.nbest, strict=True):
        assert [score for _, score in lines] == pytest.approx(found, abs=1e-4)


LLAMA_3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 64}  # fmt: skip
THETA = {"rope_type": "default", "rope_theta": 500.0}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "biases": ("Llama", {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "rms_norm_eps": 0.1}),
    "linear": ("Llama", {"rope_parameters": THETA | {"rope_type": "linear", "factor": 4.0}}),
    "mistral": ("Mistral", {"sliding_window": None, "rope_parameters": THETA}),
    "qwen2": ("Qwen2", {"rope_parameters": THETA, "tie_word_embeddings": True}),
    "gemma": ("Gemma", {"rope_parameters": THETA}),
}


@pytest.mark.parametrize(
    "name", [name if name == "biases" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)
def test_decoder_only_models_of_many_settings_are_computed_as_they_are(name: str, tmp_path: Path) -> None:
    """The stock loaders take the activation, the base of the positions and more for granted."""
    kind, settings = VARIANTS[name]
    model, tokenizer = opened(remade(kind, tmp_path, **settings))
    specialize(model, random_masks(model), semantics="weight")
    one, other = (
        make_engine(model, tokenizer, EvaluationSettings(engine=engine, beam=3, max_new_tokens=12)).translate(
            SOURCES, DIRECTIONS[0]
        )
        for engine in ("transformers", "ctranslate2")
    )
    assert len(set(one)) > 2 and list(one) == list(other)
    for mine, theirs in zip(one.nbest, other.nbest, strict=True):
        assert [score for _, score in mine] == pytest.approx([score for _, score in theirs], abs=1e-4)


def test_an_end_of_its_own_configuration_ends_a_translation_too(tmp_path: Path) -> None:
    model, tokenizer = opened(made("llama", tmp_path))
    settings = EvaluationSettings(engine="ctranslate2", beam=1, max_new_tokens=12)
    engine = make_engine(model, tokenizer, settings)
    before = engine.translate(SOURCES[:1], DIRECTIONS[0])
    prompt = engine.text_format.frame.sources(SOURCES[:1], DIRECTIONS[0])
    (best,) = next(engine.search([prompt], DIRECTIONS[0]))
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, best[0].ids[2]]
    after = make_engine(model, tokenizer, settings).translate(SOURCES[:1], DIRECTIONS[0])
    other = settings.model_copy(update={"engine": "transformers"})
    assert after.tokens == 2 < before.tokens
    assert list(after) == list(make_engine(model, tokenizer, other).translate(SOURCES[:1], DIRECTIONS[0]))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("Gemma2", {"query_pre_attn_scalar": 8}, "soft caps, which Gemma 2 has; use the transformers engine"),
        ("Gemma3Text", {"query_pre_attn_scalar": 8}, "the window of Gemma 3's attention"),
        ("Mistral", {"sliding_window": 64}, "the window of the model's attention"),
        ("Llama", {"rope_parameters": LLAMA_3}, r"doesn't scale .*\(llama3\)"),
        ("Llama", {"rope_parameters": THETA | {"rope_type": "dynamic", "factor": 2.0}}, r"doesn't scale .*\(dynamic\)"),
        ("Olmo2", {}, "runs models of type m2m_100, .*, gemma, not 'olmo2'"),
    ],
)
def test_what_cant_be_computed_is_refused_with_the_reason(kind: str, settings: dict[str, Any], message: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, **settings,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ModelError, match=message):
        check_convertible(model)


def test_heads_of_another_width_than_their_share_are_refused() -> None:
    told = why_not_converted({"model_type": "llama", "num_attention_heads": 4, "head_dim": 16, "hidden_size": 32})
    assert told is not None and "among the 4 attention heads, and theirs is 16" in told
    qwen2 = {"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": False}
    assert why_not_converted(qwen2) is None
