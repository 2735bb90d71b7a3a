"""Which models CTranslate2 can compute, as their configuration tells before anything is loaded. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONVERTIBLE: Mapping[str, str] = {
    "m2m_100": "M2M100ForConditionalGeneration",
    "mbart": "MBartForConditionalGeneration",
    "marian": "MarianMTModel",
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma": "GemmaForCausalLM",
}
"""By `model_type` in config.json, the class of the models that are converted."""

_NEVER: Mapping[str, str] = {
    "gemma2": "CTranslate2 has no soft caps, which Gemma 2 has",
    "gemma3_text": "CTranslate2 reads text that is longer than the window of Gemma 3's attention otherwise",
}


def why_not_converted(config: Mapping[str, Any]) -> str | None:
    """Why a model can't be converted; None if nothing in its configuration speaks against it.

    Args:
        config: as config.json has it.
    """
    kind = str(config.get("model_type"))
    if kind in _NEVER:
        return _NEVER[kind]
    if kind not in CONVERTIBLE:
        return f"the ctranslate2 engine runs models of type {', '.join(CONVERTIBLE)}, not {kind!r}"
    encoder, decoder = (config.get(f"{side}_attention_heads") for side in ("encoder", "decoder"))
    if None not in (encoder, decoder) and encoder != decoder:
        return f"CTranslate2 needs as many attention heads in the encoder ({encoder}) as in the decoder ({decoder})"
    if kind == "mbart" and config.get("decoder_start_token_id") is None:
        return "CTranslate2 models begin with one token, and the decoder of this mBART begins with the target's code"
    return _why_not_causal(config) if CONVERTIBLE[kind].endswith("ForCausalLM") else None


def _why_not_causal(config: Mapping[str, Any]) -> str | None:
    """What the decoder-only models that are converted may have, and CTranslate2 hasn't or computes otherwise."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    scaling = rope.get("rope_type", rope.get("type", "default"))
    if scaling not in ("default", "linear"):  # CTranslate2 4.8 has another llama3 than transformers
        return f"CTranslate2 doesn't scale positions as this model does ({scaling})"
    if config.get("sliding_window") is not None and config.get("use_sliding_window", True):
        return "CTranslate2 reads text that is longer than the window of the model's attention otherwise"
    heads, head, width = (config.get(name) for name in ("num_attention_heads", "head_dim", "hidden_size"))
    if config["model_type"] in ("llama", "qwen2") and head is not None and heads and head * heads != width:
        return f"CTranslate2 divides the width {width} among the {heads} attention heads, and theirs is {head}"
    return None
