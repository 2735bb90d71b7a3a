"""Tiny randomly initialised models of the supported families, and padded inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel

VOCABULARY, WIDTH, PAD, BOS, EOS = 50, 12, 1, 0, 2
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}


def _bart_like(name: str, **extra: Any) -> Callable[[], PreTrainedModel]:
    def build() -> PreTrainedModel:
        config = getattr(transformers, f"{name}Config")(
            **_TOKENS, d_model=8, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=WIDTH, decoder_ffn_dim=WIDTH + 4,
            max_position_embeddings=64, decoder_start_token_id=EOS, forced_eos_token_id=None,
            dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, encoder_layerdrop=0.0,
            decoder_layerdrop=0.0, init_std=0.3, **extra,
        )  # fmt: skip
        model = "MarianMTModel" if name == "Marian" else f"{name}ForConditionalGeneration"
        return getattr(transformers, model)(config)

    return build


def _t5_like(name: str, activation: str, tied: bool = True, **extra: Any) -> Callable[[], PreTrainedModel]:
    def build() -> PreTrainedModel:
        config = getattr(transformers, f"{name}Config")(
            **_TOKENS, d_model=8, d_kv=4, d_ff=WIDTH, num_layers=2, num_decoder_layers=2, num_heads=2,
            feed_forward_proj=activation, dropout_rate=0.0, decoder_start_token_id=PAD,
            initializer_factor=1.5, **extra,
        )  # fmt: skip
        model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
        if not tied:  # transformers ties them unless a checkpoint has both
            model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 8))
        return model

    return build


def _llama_like(name: str, **extra: Any) -> Callable[[], PreTrainedModel]:
    def build() -> PreTrainedModel:
        settings = dict(
            **_TOKENS, hidden_size=8, intermediate_size=WIDTH, num_hidden_layers=3, num_attention_heads=2,
            num_key_value_heads=1, head_dim=4, max_position_embeddings=64, initializer_range=0.3,
        )  # fmt: skip
        return _causal(name, settings | extra)

    return build


def _other(name: str, **settings: Any) -> Callable[[], PreTrainedModel]:
    return lambda: _causal(name, {**_TOKENS, **settings})


def _causal(name: str, settings: dict[str, Any]) -> PreTrainedModel:
    suffix = {"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM")
    return getattr(transformers, suffix)(getattr(transformers, f"{name}Config")(**settings))


_GPT = {"n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 64, "n_inner": WIDTH, "initializer_range": 0.3,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # fmt: skip

FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "m2m100": _bart_like("M2M100"),
    "mbart": _bart_like("MBart", activation_function="gelu"),
    "bart": _bart_like("Bart", activation_function="gelu"),
    "marian": _bart_like("Marian", activation_function="swish", share_encoder_decoder_embeddings=True),
    "pegasus": _bart_like("Pegasus"),
    "t5": _t5_like("T5", "relu"),
    "t5-gated": _t5_like("T5", "gated-gelu"),
    "madlad": _t5_like("T5", "gated-gelu", tied=False, tie_word_embeddings=False),
    "mt5": _t5_like("MT5", "gated-gelu", tied=False),
    "umt5": _t5_like("UMT5", "gated-gelu"),
    "llama": _llama_like("Llama"),
    "llama-bias": _llama_like("Llama", mlp_bias=True),
    "qwen2": _llama_like("Qwen2", tie_word_embeddings=True),
    "qwen3": _llama_like("Qwen3"),
    "gemma": _llama_like("Gemma"),
    "gemma2": _llama_like(
        "Gemma2", query_pre_attn_scalar=4, final_logit_softcapping=1.5, attn_logit_softcapping=2.0
    ),
    "gemma3": _llama_like("Gemma3Text", query_pre_attn_scalar=4),
    "mistral": _llama_like("Mistral"),
    "cohere": _llama_like("Cohere"),
    "olmo2": _llama_like("Olmo2"),
    "nemotron": _llama_like("Nemotron"),
    "gpt2": _other("GPT2", **_GPT),
    "gpt-neox": _other(
        "GPTNeoX", hidden_size=8, intermediate_size=WIDTH, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=64, initializer_range=0.3,
    ),
    "opt": _other(
        "OPT", hidden_size=8, ffn_dim=WIDTH, num_hidden_layers=3, num_attention_heads=2,
        word_embed_proj_dim=8,        max_position_embeddings=64, dropout=0.0, init_std=0.3,
    ),
    "bloom": _other("Bloom", hidden_size=8, n_layer=3, n_head=2, initializer_range=0.3),
}  # fmt: skip

SAMPLED = {"m2m100", "bart", "t5", "madlad", "llama", "llama-bias", "gemma2", "gpt2", "opt"}
"""One of each kind: with ReLU and without, gated and not, with biases and without, with tied tables and others, with
layers that hold their weights transposed, with capped logits."""

EACH = [name if name in SAMPLED else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
"""All families, as parameters of tests: those that aren't sampled are of `make test-all`."""


def build_family(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A tiny model of the family in eval mode, with random biases (they would start as zero)."""
    torch.manual_seed(seed)
    model = FAMILIES[name]().to(dtype).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("bias"):
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    return model


def expected_layers(model: PreTrainedModel) -> int:
    """The number of layers that the configuration asks for."""
    config = model.config
    if config.is_encoder_decoder:
        encoder = getattr(config, "encoder_layers", None) or config.num_layers
        return encoder + (getattr(config, "decoder_layers", None) or config.num_decoder_layers)
    return config.num_hidden_layers


def padded_inputs(model: PreTrainedModel, rows: int = 3, seed: int = 0, left: bool = False) -> dict[str, torch.Tensor]:
    """Random tokens with real padding on the right (the source's on the left if asked for) and labels."""
    generator = torch.Generator().manual_seed(seed)

    def side(longest: int, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.randint(3, VOCABULARY, (rows, longest), generator=generator)
        lengths = torch.randint(2, longest + 1, (rows, 1), generator=generator)
        lengths[0] = longest
        position = torch.arange(longest)
        mask = (position >= longest - lengths) if left else (position < lengths)
        return ids.masked_fill(~mask, PAD), mask.long()

    source, source_mask = side(6, left)
    inputs = {"input_ids": source, "attention_mask": source_mask}
    if model.config.is_encoder_decoder:
        target, target_mask = side(5, left=False)
        inputs |= {"decoder_input_ids": target, "decoder_attention_mask": target_mask}
        return inputs | {"labels": target.masked_fill(target_mask == 0, -100)}
    return inputs | {"labels": source.masked_fill(source_mask == 0, -100)}
