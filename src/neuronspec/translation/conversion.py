"""From a model in memory to CTranslate2.

The stock converter reads a checkpoint folder and the files of a tokenizer. Compact models have another width in each
layer, which no checkpoint of `transformers` can hold, so the model in memory is converted, with the vocabulary that
its tokenizer has in memory.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import M2M100ForConditionalGeneration, PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.errors import MissingExtraError, ModelError
from neuronspec.models.fit import count_ids
from neuronspec.models.sites import unwrap
from neuronspec.specialization.model_state import attached
from neuronspec.translation.quantizations import QUANTIZATIONS


def import_ctranslate2() -> Any:
    """The package `ctranslate2`.

    Raises:
        MissingExtraError: it isn't installed.
    """
    try:
        import ctranslate2
    except ImportError:
        raise MissingExtraError("ctranslate2", "deploy", "the ctranslate2 engine") from None
    return ctranslate2


def check_convertible(model: nn.Module) -> None:
    """Check that CTranslate2 can compute what the model computes.

    Raises:
        ModelError: it is of another architecture, or has layers that a conversion would silently leave out.
    """
    plain = unwrap(model)
    if not isinstance(plain, M2M100ForConditionalGeneration):
        raise ModelError(
            f"the ctranslate2 engine runs M2M100ForConditionalGeneration (our models, M2M100, NLLB), not "
            f"{type(plain).__name__}; use the transformers engine"
        )
    config = plain.config
    if config.encoder_attention_heads != config.decoder_attention_heads:
        raise ModelError(
            f"CTranslate2 needs as many attention heads in the encoder ({config.encoder_attention_heads}) as in the "
            f"decoder ({config.decoder_attention_heads}); use the transformers engine"
        )
    with torch.device("meta"):
        known = set(M2M100ForConditionalGeneration(config).state_dict())
    added = sorted(set(plain.state_dict()) - known)
    if added:
        raise ModelError(
            f"CTranslate2 has no place for {len(added)} weights of the model, such as {added[0]!r} (adapters?); merge "
            "them or use the transformers engine"
        )


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """The token of each of the model's `size` ids; ids that the tokenizer doesn't have get names of their own.

    Raises:
        ModelError: two ids have one token.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(min(size, count_ids(tokenizer)))))
    named = [f"<unused {place}>" if token is None else str(token) for place, token in enumerate(tokens)]
    named += [f"<unused {place}>" for place in range(len(named), size)]
    if len(set(named)) != size:
        twice = next(token for place, token in enumerate(named) if token in named[:place])
        raise ModelError(f"the tokenizer has two ids for {twice!r}: CTranslate2 needs one id per token")
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
        folder: gets `model.bin`, `config.json` and `shared_vocabulary.json`.
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
    spec = _loader(max(own.config.max_position_embeddings, longest_translation + 2)).get_model_spec(own)
    # translations are aligned with their sources by all heads of the last layer, not by the first alone
    spec.decoder.alignment_heads = np.int16(own.config.decoder_attention_heads)
    spec.register_source_vocabulary(vocabulary_of(tokenizer, own.config.vocab_size))
    spec.register_target_vocabulary(vocabulary_of(tokenizer, own.config.vocab_size))
    start = own.generation_config.decoder_start_token_id or own.config.decoder_start_token_id
    spec.config.bos_token = tokenizer.bos_token
    spec.config.eos_token = tokenizer.eos_token
    spec.config.unk_token = tokenizer.unk_token
    spec.config.decoder_start_token = tokenizer.convert_ids_to_tokens(start)
    spec.validate()  # must come before optimize
    spec.optimize(quantization=weights)
    spec.save(str(folder))


def _loader(positions: int) -> Any:
    from ctranslate2.converters.transformers import M2M100Loader

    class Loader(M2M100Loader):
        def set_position_encodings(self, spec: Any, module: Any) -> None:
            """Positions are counted from the padding's id on; the stock loader takes it to be 1."""
            first = module.padding_idx + 1
            table = module.get_embedding(first + positions, module.embedding_dim, module.padding_idx)
            spec.encodings = table[first:].float().contiguous()

    return Loader()
