"""Label-smoothed cross-entropy over target tokens, and the loss on held-out text.

With V pieces, smoothing e and p the model's distribution at a target token y, the loss of the token is
`-(1 - e) log p(y) - e/V sum_v log p(v)` nats: the form of torch and Hugging Face. (fairseq shares e among the
V - 1 others.) Positions labelled -100 - padding, and the forced target tag unless
`tag_loss` is set - take no loss.

Labels are those of Hugging Face: a decoder-only model's are shifted here, an encoder-decoder model's belong to the
position that they are at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch
from neuronspec.models.compatibility import checkpoints_activations
from neuronspec.models.dispatch import is_dispatched
from neuronspec.models.fast_attention import encoded, packs
from neuronspec.models.fast_dropout import FastDropout
from neuronspec.models.frames import IGNORED, shifted
from neuronspec.models.packed import packed_layers
from neuronspec.models.precision import autocast
from neuronspec.training.projected_loss import projected_loss, rows_at_once

InDirection = Callable[[Direction | Sequence[Direction]], AbstractContextManager[Any]]
"""Gives the context that a forward and backward pass run in, such as `use_direction` with masks, for the direction of
a batch, or the directions of its rows."""

LINEAR_HEADS = frozenset(
    {"bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5", "bloom", "gemma", "gemma2", "gemma3_text",
     "gpt2", "gpt_neox", "llama", "mistral", "nemotron", "olmo2", "opt", "qwen2", "qwen3"}
)  # fmt: skip
"""Model types whose logits are what their linear head gives, plus `final_logits_bias` and under the soft cap
`final_logit_softcapping` where they have one. Of these only the rows that take loss are projected, in chunks; others
give the logits of all positions at once."""


def any_direction(direction: Direction | Sequence[Direction]) -> AbstractContextManager[Any]:
    """The context of a model that treats all directions alike: none."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Loss:
    """Cross-entropy in nats, summed over target tokens.

    Args:
        nats: the sum, without label smoothing.
        tokens: target tokens that it is over.
        smoothed: the sum with label smoothing, where it was computed.
    """

    nats: float
    tokens: int
    smoothed: float = 0.0

    @property
    def per_token(self) -> float:
        """Nats per target token, without label smoothing."""
        return self.nats / self.tokens


@dataclass(frozen=True, slots=True)
class BatchLoss:
    """The loss of one batch, summed over its target tokens.

    Args:
        smoothed: what is trained on, with its gradient.
        nats: cross-entropy without smoothing, without gradient.
    """

    smoothed: torch.Tensor
    nats: torch.Tensor


def target_labels(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """What the model is to give at each position `[batch, time]`, `IGNORED` where there is no loss."""
    labels = batch.inputs["labels"]
    return labels if model.config.is_encoder_decoder else shifted(labels)


def target_tokens(model: PreTrainedModel, batch: Batch) -> int:
    """Target tokens that take loss: pieces and `</s>`, without padding and the target tag."""
    return int((target_labels(model, batch) != IGNORED).sum())


def batch_loss(model: PreTrainedModel, batch: Batch, label_smoothing: float = 0.0) -> BatchLoss:
    """Run `model` on a batch and sum the loss over its target tokens.

    Args:
        model: in training mode with dropout, in eval mode without.
        batch: on the model's device, with `labels`.
        label_smoothing: share of the target that is spread over the vocabulary.

    Examples:
        >>> loss = batch_loss(model, batch)  # doctest: +SKIP
        >>> loss.nats / target_tokens(model, batch)  # doctest: +SKIP
    """
    with _dropout(model):
        return _batch_loss(model, batch, label_smoothing)


def _dropout(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """The context with fast dropout, where it is faster and right: not where layers are computed twice."""
    drops = model.training and any(value for name, value in vars(model.config).items() if "drop" in name)
    if not drops or model.device.type != "cpu":
        return nullcontext()
    return nullcontext() if checkpoints_activations(model) else FastDropout()


def _batch_loss(model: PreTrainedModel, batch: Batch, label_smoothing: float) -> BatchLoss:
    rows, targets, _ = _before_loss(model, batch, may_pack=True)
    if projects_rows(model):
        return BatchLoss(*projected_loss(rows, *_head(model), targets, label_smoothing, softcap=_softcap(model)))
    logits = rows.to(torch.promote_types(rows.dtype, torch.float32))
    smoothed = functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=label_smoothing)
    return BatchLoss(smoothed, functional.cross_entropy(logits.detach(), targets, reduction="sum"))


@torch.no_grad()
def sentence_nats(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Cross-entropy of each row of a batch, summed over its target tokens, without label smoothing.

    Args:
        model: in eval mode.
        batch: on the model's device, with `labels`.

    Returns:
        DoubleTensor `[batch]`, in nats.
    """
    (given, pieces, positions), projects = _before_loss(model, batch), projects_rows(model)
    vocabulary = len(_head(model)[0]) if projects else given.shape[-1]
    chunk = rows_at_once(given.device, vocabulary)
    nats = []
    for part, targets in zip(given.split(chunk), pieces.split(chunk), strict=True):
        logits = functional.linear(part, *_head(model)) if projects else part
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        cap = _softcap(model) if projects else None
        logits = logits if cap is None else cap * torch.tanh(logits / cap)
        nats.append(functional.cross_entropy(logits, targets, reduction="none").double())
    rows, time = batch.inputs["labels"].shape
    found = torch.zeros(rows, dtype=torch.double, device=given.device)
    return found.index_add(0, positions // time, torch.cat(nats))


def _before_loss(
    model: PreTrainedModel, batch: Batch, may_pack: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What there is at positions that take loss.

    Args:
        model: that reads the batch.
        batch: with `labels`.
        may_pack: let layers compute real tokens alone, where that is faster.

    Returns:
        What the head is given there, where its rows are projected here, else the logits: `[targets, ...]`; and, both
        `[targets]`, what is to be given, and the positions in `[batch * time]`.
    """
    inputs = {name: tensor for name, tensor in batch.inputs.items() if name != "labels"}
    head = model.get_output_embeddings() if projects_rows(model) else None
    if batch.ready is None:
        labels = target_labels(model, batch).flatten()
        positions = (labels != IGNORED).nonzero().squeeze(1)
        pieces = labels[positions]
    else:
        positions, pieces = batch.ready.positions, batch.ready.pieces
        # What chooses neurons by the rows of a batch finds no rows in packed states.
        packing = batch.ready.packing if may_pack and type(batch) is Batch else None
        if packing is not None and head is not None and packs(model, packing):
            with packed_layers(model, packing):
                inputs = encoded(model, inputs, batch.ready.source_padded, packing)
                states = packing.target.pack(_input_of_head(model, head, inputs))
            return states[0].index_select(0, torch.searchsorted(packing.target.places, positions)), pieces, positions
        inputs = encoded(model, inputs, batch.ready.source_padded)
    given = model(**inputs, use_cache=False).logits if head is None else _input_of_head(model, head, inputs)
    return given.flatten(0, 1).index_select(0, positions), pieces, positions


def _head(model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of the head."""
    head = model.get_output_embeddings()
    final = getattr(model, "final_logits_bias", None)
    return head.weight, head.bias if final is None else final.reshape(-1)


def _softcap(model: PreTrainedModel) -> float | None:
    return getattr(model.config, "final_logit_softcapping", None)


def projects_rows(model: PreTrainedModel) -> bool:
    """Whether `batch_loss` projects the rows that take loss itself; see `LINEAR_HEADS`."""
    if is_dispatched(model):  # the head's weight may be elsewhere until its forward is called
        return False
    return model.config.model_type in LINEAR_HEADS and type(model.get_output_embeddings()) is nn.Linear


def _input_of_head(model: PreTrainedModel, head: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the model hands to its head, `[batch, time, d_model]`."""
    if model.base_model is not model:
        return model.base_model(**inputs, use_cache=False).last_hidden_state
    taken: list[torch.Tensor] = []  # T5 has no base model of its own, and scales before the head

    def take(_: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        taken.append(arguments[0])
        return (arguments[0][:0],)

    handle = head.register_forward_pre_hook(take)
    try:
        model(**inputs, use_cache=False)
    finally:
        handle.remove()
    return taken[0]


@torch.no_grad()
def validation_loss(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    in_direction: InDirection = any_direction,
    *,
    precision: str = "float32",
    forward: Callable[[Batch], BatchLoss] | None = None,
) -> dict[Direction, Loss]:
    """Cross-entropy of each direction that `batches` hold, teacher-forced, in eval mode.

    Args:
        model: in either mode, which it keeps.
        batches: of any directions, in any order.
        in_direction: see `InDirection`.
        precision: `float32`, or `bf16` or `fp16` for autocast.
        forward: computes the loss of a batch; `batch_loss` of the model, without label smoothing, where it isn't given.
    """
    forward = forward or (lambda batch: batch_loss(model, batch))
    sums: dict[Direction, tuple[torch.Tensor, torch.Tensor]] = {}
    tokens: dict[Direction, int] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            with in_direction(batch.direction), autocast(model.device, precision):
                loss = forward(batch.to(model.device))
            nats, smoothed = sums.get(batch.direction, (0, 0))
            sums[batch.direction] = nats + loss.nats.double(), smoothed + loss.smoothed.double()
            tokens[batch.direction] = tokens.get(batch.direction, 0) + target_tokens(model, batch)
    finally:
        model.train(was_training)
    return {
        direction: Loss(float(nats), tokens[direction], float(smoothed)) for direction, (nats, smoothed) in sums.items()
    }
