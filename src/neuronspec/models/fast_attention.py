"""Attention for short sequences on a CPU, as two batched matrix products.

PyTorch's fused CPU kernel is made for long sequences: on sentences its backward pass in bf16 takes several times
as long as the plain products, and so does a decoding step. `"short"` is an implementation as `transformers`
understands it (`attn_implementation="short"`). It leaves to `sdpa` whatever it isn't made for: other devices,
long sequences, grouped heads, position biases, soft caps and paged caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from neuronspec.core.errors import ModelError, reason_of
from neuronspec.models.compatibility import checkpoints_activations, has_sdpa
from neuronspec.models.packed import Packing

SHORT = "short"
"""The name under which the implementation is registered."""

LONGEST_SQUARE = 362 * 362
"""Query length times key length up to which the plain products are used: beyond it their scores leave the cache."""

DEVICES = frozenset({"cpu"})
"""Kinds of devices on which the plain products are used."""

_OTHERS_WORK = ("softcap", "position_bias", "cache")


def short_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, equal to `sdpa` at every position that may attend to something.

    Args:
        module: the attention layer; its `is_causal` counts where `is_causal` isn't given.
        query: `[batch, heads, query_time, head_width]`.
        key: `[batch, heads, key_time, head_width]`.
        value: `[batch, heads, key_time, head_width]`.
        attention_mask: boolean (True: may attend) or additive, broadcastable to `[batch, heads, query_time, key_time]`.
            None means no padding; a causal layer is then masked here, as `transformers` expects of it.
        dropout: probability of dropping an attention weight.
        scaling: factor on the scores; `head_width ** -0.5` without it.
        is_causal: whether a position may attend to no later one; the layer's own without it.
        packing: of states that are packed: `[1, heads, tokens, head_width]`; the mask is that of the batch.
        **kwargs: what `sdpa_attention_forward` takes besides.

    Returns:
        `[batch, query_time, heads, head_width]`, and None in the place of the weights.
    """
    asked = None
    if packing is not None:
        asked, read = packing.sides_of(module)
        query, key, value = asked.to_heads(query), read.to_heads(key), read.to_heads(value)
    states = _attended(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
    return states.transpose(1, 2).contiguous() if asked is None else asked.from_heads(states), None


def _attended(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float,
    scaling: float | None,
    is_causal: bool | None,
    **kwargs: Any,
) -> torch.Tensor:
    """`[batch, heads, query_time, head_width]`, of padded batches; see `short_attention`."""
    grouped = getattr(module, "num_key_value_groups", 1) > 1
    unusual = grouped or any(kwargs.get(name) is not None for name in _OTHERS_WORK)
    if unusual or query.device.type not in DEVICES or query.shape[2] * key.shape[2] > LONGEST_SQUARE:
        states, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **kwargs
        )
        return states.transpose(1, 2)
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    if attention_mask is None and causal and query.shape[2] > 1:
        # The mask is left out where it would be plainly causal: what is masked by nobody must be masked here.
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + _additive(attention_mask, scores.dtype)
    # PyTorch's bf16 softmax is several times slower on short rows than its float32 one.
    weights = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
    weights = functional.dropout(weights, dropout, training=dropout > 0)
    return torch.matmul(weights, value)


def _additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The mask as a term of the scores: 0 where attention is allowed, the least finite number elsewhere."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


_chosen: ContextVar[str] = ContextVar("attention", default="auto")


@contextmanager
def attention(name: str) -> Iterator[None]:
    """Models that are loaded inside of the block compute attention in this way.

    Args:
        name: as in `model.attention` of a recipe.
    """
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def use_fast_attention(model: PreTrainedModel) -> None:
    """Choose the fastest attention for the device that `model` is on: `short` on a CPU, `sdpa` elsewhere.

    Models that can't switch their attention stay as they are, and those without an `sdpa` form have `eager`. The choice
    isn't saved with the model. Inside of `attention`, its choice is made instead.

    Raises:
        ModelError: the choice can't be computed by this model, or on this machine.
    """
    name = _chosen.get()
    if name != "auto":
        try:
            if name == "sdpa" and not has_sdpa(model):
                raise ValueError("it has no form with scaled dot-product attention")
            model.set_attn_implementation(name)
        except (ImportError, ValueError) as error:
            raise ModelError(
                f"model.attention is {name}, and a {type(model).__name__} can't be computed so here: {reason_of(error)}"
            ) from None
        return
    if model._can_set_attn_implementation():
        fast = SHORT if model.device.type == "cpu" else "sdpa"
        model.set_attn_implementation(fast if has_sdpa(model) else "eager")


_TAKES_MASKS = frozenset({"bart", "m2m_100", "marian", "mbart", "pegasus"})
"""Encoder-decoder models that take masks `[batch, 1, query_time, key_time]` as they are, for all of their attention."""

LEAST_PADDING = 0.05
"""The share of padding from which on packed layers are faster: unpacking for attention takes time, too."""


def packs(model: PreTrainedModel, packing: Packing | None) -> bool:
    """Whether the layers of a model compute a batch without its padding: they can, and it is faster.

    Args:
        model: that reads the batch. It must have `short` attention, and not compute layers twice.
        packing: of the batch, all of one direction.
    """
    able = model.config.model_type in _TAKES_MASKS and model.config._attn_implementation == SHORT
    is_worth_it = packing is not None and packing.padding >= LEAST_PADDING
    return able and is_worth_it and not checkpoints_activations(model)


def encoded(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], padded: bool, packing: Packing | None = None
) -> dict[str, Any]:
    """Inputs whose source the encoder has read, with the decoder's masks, in place of the source and masks of padding.

    Transformers makes the same masks, but asks the device up to three times whether anything is padded, and waits.
    Models that take no ready masks, and attention other than `sdpa` and `short`, get the inputs as they are.

    Args:
        model: that reads them.
        inputs: of a batch, without labels, padded on the right.
        padded: whether any source is padded.
        packing: of the batch, inside of `packed_layers`.
    """
    implementation = model.config._attn_implementation
    if model.config.model_type not in _TAKES_MASKS or implementation not in (SHORT, "sdpa"):
        return dict(inputs)
    source, target = (inputs[name].bool()[:, None, None, :] for name in ("attention_mask", "decoder_attention_mask"))
    read, written = source.shape[-1], target.shape[-1]
    causal = torch.ones(written, written, dtype=torch.bool, device=target.device).tril()
    own, cross = (source.expand(-1, -1, time, -1).contiguous() if padded else None for time in (read, written))
    further = {} if packing is None else {"packing": packing}
    read_source = model.get_encoder()(input_ids=inputs["input_ids"], attention_mask=own, **further)
    if packing is not None:
        read_source.last_hidden_state = packing.source.pack(read_source.last_hidden_state)
    return {
        **further,
        "encoder_outputs": read_source,
        "attention_mask": cross,
        "decoder_input_ids": inputs["decoder_input_ids"],
        "decoder_attention_mask": causal & target,
    }


AttentionInterface.register(SHORT, short_attention)
AttentionMaskInterface.register(SHORT, sdpa_mask)
