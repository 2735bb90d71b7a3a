"""CTranslate2's description of a model in memory, by family: the stock loaders, and what they leave to checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np

FORBIDDEN = -1e4
"""Added to the score of a token that a model must not write; a half-precision number holds it."""


def spec_of(model: Any, positions: int) -> Any:
    """CTranslate2's description of a model: its weights, without vocabulary.

    Args:
        model: of a class in `CONVERTIBLE`, in float32 on the CPU; its config is changed.
        positions: that a table of positions needs at least, where it is computed.
    """
    build = {"m2m_100": _m2m100, "mbart": _mbart, "marian": _marian, "t5": _t5, "mt5": _t5}
    spec = build.get(model.config.model_type, _causal)(model, positions)
    _forbid(spec.decoder.projection, model)
    return spec


def _m2m100(model: Any, positions: int) -> Any:
    from ctranslate2.converters.transformers import M2M100Loader

    rows = max(model.config.max_position_embeddings, positions)

    class Loader(M2M100Loader):
        def set_position_encodings(self, spec: Any, module: Any) -> None:
            """Positions are counted from the padding's id on; the stock loader takes it to be 1."""
            first = module.padding_idx + 1
            table = module.get_embedding(first + rows, module.embedding_dim, module.padding_idx)
            spec.encodings = table[first:].float().contiguous()

    return _aligned(Loader().get_model_spec(model), model)


def _mbart(model: Any, positions: int) -> Any:
    from ctranslate2.converters.transformers import MBartLoader

    model.config.normalize_before = model.config.normalize_embedding = True
    return _aligned(MBartLoader().get_model_spec(model), model)


def _marian(model: Any, positions: int) -> Any:
    from ctranslate2.converters.transformers import BartLoader

    # The stock loader of Marian cuts the last id off and starts with zeros: right only where padding is the last id,
    # and its row is zero.
    model.config.normalize_before = model.config.normalize_embedding = False
    return _aligned(BartLoader().get_model_spec(model), model)


def _aligned(spec: Any, model: Any) -> Any:
    """Translations are aligned with their sources by all heads of the last layer, not by the first alone."""
    spec.decoder.alignment_heads = np.int16(model.config.decoder_attention_heads)
    return spec


def _t5(model: Any, positions: int) -> Any:
    from ctranslate2.converters.transformers import T5Loader
    from ctranslate2.specs.model_spec import OPTIONAL

    # `tie_word_embeddings` doesn't tell any more whether outputs are scaled; mT5 never does
    scaled = getattr(model.config, "scale_decoder_outputs", False)
    spec = T5Loader().get_model_spec(model)
    spec.decoder.scale_outputs = np.float32(model.config.d_model**-0.5) if scaled else OPTIONAL
    return spec


def _causal(model: Any, positions: int) -> Any:
    from ctranslate2.converters import transformers as stock

    config = model.config
    loaders = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma": "Gemma"}
    spec = getattr(stock, f"{loaders[config.model_type]}Loader")().get_model_spec(model)
    # the stock loaders take these for granted, or look for them where transformers has them no more
    spec.decoder.activation = np.int8(stock._SUPPORTED_ACTIVATIONS[config.hidden_act])
    for layer in spec.decoder.layer:
        layer.self_attention.rotary_base = np.float32(config.rope_parameters["rope_theta"])
    spec.config.layer_norm_epsilon = config.rms_norm_eps
    return spec


def _forbid(projection: Any, model: Any) -> None:
    """Tokens that the model must not write, such as Marian's padding, get a score that is never chosen."""
    words = model.generation_config.bad_words_ids or []
    tokens = [word[0] for word in words if len(word) == 1]
    if not tokens:
        return
    bias = np.zeros(model.config.vocab_size, np.float32)
    given = getattr(projection, "bias", None)
    if given is not None and not isinstance(given, str):
        bias += given.numpy()
    bias[tokens] = FORBIDDEN
    projection.bias = bias
