"""From a model in memory to CTranslate2.

The stock converter reads a checkpoint folder and the files of a tokenizer. Compact models have another width in each
layer, which no checkpoint of `transformers` can hold, so the model in memory is converted, with the vocabulary that
its tokenizer has in memory.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.errors import MissingExtraError, ModelError
from neuronspec.models.fit import count_ids
from neuronspec.models.frames import Tagged
from neuronspec.models.sites import find_ffn_sites, unwrap
from neuronspec.models.text_format import TextFormat
from neuronspec.specialization.model_state import attached
from neuronspec.translation.convertible import CONVERTIBLE, why_not_converted
from neuronspec.translation.ct2_specs import spec_of
from neuronspec.translation.quantizations import QUANTIZATIONS

VOCABULARIES = ("shared_vocabulary.json", "vocabulary.json")
"""Where CTranslate2 has the tokens of a model with an encoder, and of one without."""


def import_ctranslate2() -> Any:
    """The package `ctranslate2`.

    On a processor with AVX2 and without VNNI it is told to multiply with MKL (`CT2_USE_MKL`, unless that is set).
    oneDNN, which it takes for other makers' processors, adds pairs of int8 products in 16 bits there, which overflow.

    Raises:
        MissingExtraError: it isn't installed.
    """
    if overflows_in_int8(torch.cpu.get_capabilities()):
        os.environ.setdefault("CT2_USE_MKL", "1")
    try:
        import ctranslate2
    except ImportError:
        raise MissingExtraError("ctranslate2", "deploy", "the ctranslate2 engine") from None
    return ctranslate2


def overflows_in_int8(processor: Mapping[str, Any]) -> bool:
    """Whether a processor has AVX2 alone to multiply int8 with, where sums of two products must fit into 16 bits.

    Args:
        processor: what `torch.cpu.get_capabilities` tells.
    """
    return bool(processor.get("avx2")) and not (processor.get("avx512_vnni") or processor.get("avx_vnni"))


def check_convertible(model: nn.Module) -> None:
    """Check that CTranslate2 can compute what the model computes.

    Raises:
        ModelError: it can't; see `why_not_convertible`.
    """
    if reason := why_not_convertible(model):
        raise ModelError(f"{reason}; use the transformers engine")


def why_not_convertible(model: nn.Module) -> str | None:
    """Why CTranslate2 can't compute what the model computes: another architecture, or layers that it has no place for.

    Where it can, None.
    """
    plain: Any = unwrap(model)
    config = plain.config
    if reason := why_not_converted(config.to_dict()):
        return reason
    stock = next((kind for kind in type(plain).__mro__ if kind.__name__ == CONVERTIBLE[config.model_type]), None)
    if stock is None:
        return f"the ctranslate2 engine runs {CONVERTIBLE[config.model_type]}, not {type(plain).__name__}"
    if _has_two_vocabularies(plain):
        return "CTranslate2 models are written with one vocabulary for sources and targets, and the model has two"
    if activation := _unknown_activation(config):
        return f"CTranslate2 has no activation {activation!r}"
    with torch.device("meta"):
        known = set(stock(config).state_dict())
    modules = {id(module): name for name, module in plain.named_modules()}
    folded = {f"{modules[id(site.down)]}.bias" for site in find_ffn_sites(plain)}  # of compact models
    added = sorted(set(plain.state_dict()) - known - folded)
    if not added:
        return None
    return (
        f"CTranslate2 has no place for {len(added)} weights of the model, such as {added[0]!r} (adapters? merge them)"
    )


def _has_two_vocabularies(model: Any) -> bool:
    rows = {table.weight.shape[0] for table in (model.get_input_embeddings(), model.get_output_embeddings())}
    return rows != {model.config.vocab_size}


def _unknown_activation(config: Any) -> str | None:
    """The activation of a model, if CTranslate2 doesn't have it."""
    from ctranslate2.converters import transformers as stock

    names = ("dense_act_fn", "activation_function", "hidden_act")
    activation = next(value for name in names if (value := getattr(config, name, None)) is not None)
    return None if activation in stock._SUPPORTED_ACTIVATIONS else activation


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """The token of each of the model's `size` ids, each another one.

    Ids that the tokenizer doesn't have get names of their own, and so do all but one of several ids of one token.

    Args:
        tokenizer: of the model.
        size: rows of the model's table.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(min(size, count_ids(tokenizer)))))
    named = [f"<unused {place}>" if token is None else str(token) for place, token in enumerate(tokens)]
    named += [f"<unused {place}>" for place in range(len(named), size)]
    counts = Counter(named)
    for place, token in enumerate(named):
        if counts[token] > 1 and tokenizer.convert_tokens_to_ids(token) != place:
            named[place] = f"<{token} again, {place}>"
    return named


def convert(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    quantization: str = "float32",
    longest_translation: int = 256,
) -> None:
    """Write a dense or compact model as a CTranslate2 model into an existing folder.

    Args:
        model: stays as it is; a specialized one is converted as the dense shared model.
        tokenizer: gives the tokens of the vocabulary.
        folder: gets `model.bin`, `config.json` and the vocabulary, under one of the names in `VOCABULARIES`.
        quantization: a name in `QUANTIZATIONS`.
        longest_translation: tokens that a translation may have: past the end of its position table CTranslate2
            fails, where `transformers` computes more positions.

    Raises:
        RecipeError: there is no such quantization.
        MissingExtraError: ctranslate2 isn't installed.
        ModelError: the model can't be converted.
    """
    weights = QUANTIZATIONS.get(quantization).weights
    import_ctranslate2()
    check_convertible(model)
    own: Any = copy.deepcopy(unwrap(model)).cpu().float().eval()  # quantizing scales the weights in place
    if attached(own) is not None:
        from neuronspec.specialization.apply import unspecialize

        unspecialize(own)
    spec, text_format = spec_of(own, longest_translation + 2), TextFormat.of(tokenizer)
    frame = text_format.frame
    tokens = vocabulary_of(tokenizer, own.config.vocab_size)
    if text_format.is_causal:
        start = frame.ends[0]
        spec.register_vocabulary(tokens)
    else:
        start = frame.eos if isinstance(frame, Tagged) else own.config.decoder_start_token_id
        spec.register_source_vocabulary(tokens)
        spec.register_target_vocabulary(tokens)
        spec.config.decoder_start_token = tokens[start]
    spec.config.bos_token = tokenizer.bos_token or tokens[start]  # written nowhere
    spec.config.eos_token = tokens[frame.ends[0]]
    spec.config.unk_token = tokenizer.unk_token or tokens[start]  # ids are written, so nothing is unknown
    spec.validate()  # must come before optimize
    spec.optimize(quantization=weights)
    spec.save(str(folder))
