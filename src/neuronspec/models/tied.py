"""Which embeddings of an M2M100 or mBART are one tensor: all of them, or the decoder's input and output alone.

The stock classes tie the encoder's table as well. A configuration with `share_embeddings: decoder` says that the
encoder's is another one; both are in the weights, so that stock transformers also keeps them apart when it opens the
folder.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

KEY = "share_embeddings"
"""Of a configuration: `decoder`, where the encoder's embeddings are its own."""

_ENCODER = "encoder.embed_tokens.weight"


def has_own_encoder_table(config: Any) -> bool:
    """Whether the encoder's embeddings aren't those of the decoder.

    Args:
        config: of Hugging Face, or its values.
    """
    values = config if isinstance(config, Mapping) else vars(config)
    return values.get(KEY) == "decoder"


def separate_encoder(model: PreTrainedModel) -> None:
    """Give the encoder a table of its own, in place, if the configuration says so; of the same values if it had none.

    Args:
        model: an M2M100 or mBART; others stay as they are.
    """
    if not has_own_encoder_table(model.config):
        return
    inner: Any = model.base_model
    table = inner.encoder.embed_tokens
    if table.weight is inner.shared.weight:
        table.weight = nn.Parameter(table.weight.detach().clone(), requires_grad=table.weight.requires_grad)
    # Class attributes, which `tie_weights` and `save_pretrained` read: this model has others.
    inner._tied_weights_keys = {name: to for name, to in inner._tied_weights_keys.items() if name != _ENCODER}
    for module in (model, inner):
        module.all_tied_weights_keys = {
            name: to for name, to in module.all_tied_weights_keys.items() if not name.endswith(_ENCODER)
        }


@contextmanager
def no_warning_of_own_table(config: Any) -> Iterator[None]:
    """Keep `from_pretrained` from warning that the tables of a model aren't tied, where they shouldn't be."""
    logger = logging.getLogger("transformers.modeling_utils")

    def keep(record: logging.LogRecord) -> bool:
        return _ENCODER not in record.getMessage()

    if has_own_encoder_table(config):
        logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
