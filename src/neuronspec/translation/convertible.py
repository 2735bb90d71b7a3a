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
}
"""By `model_type` in config.json, the class of the models that are converted."""


def why_not_converted(config: Mapping[str, Any]) -> str | None:
    """Why a model can't be converted; None if nothing in its configuration speaks against it.

    Args:
        config: as config.json has it.
    """
    kind = config.get("model_type")
    if kind not in CONVERTIBLE:
        return f"the ctranslate2 engine runs models of type {', '.join(CONVERTIBLE)}, not {kind!r}"
    encoder, decoder = (config.get(f"{side}_attention_heads") for side in ("encoder", "decoder"))
    if None not in (encoder, decoder) and encoder != decoder:
        return f"CTranslate2 needs as many attention heads in the encoder ({encoder}) as in the decoder ({decoder})"
    if kind == "mbart" and config.get("decoder_start_token_id") is None:
        return "CTranslate2 models begin with one token, and the decoder of this mBART begins with the target's code"
    return None
