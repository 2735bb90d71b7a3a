"""The loss of a linear head, in chunks of rows whose logits are gone before the next ones are computed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

logger = logging.getLogger(__name__)

OfRows: TypeAlias = "tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]"
"""Of rows of logits: the sums of cross-entropy and of the loss of a uniform target, and the gradient of the logits."""

LOGITS_HELD = {"cpu": 2**21, "cuda": 2**27}
"""Logits that are held at a time: on a CPU what stays near its cache, on a GPU what keeps it busy."""

FEWEST_ROWS = 256
"""Rows of a chunk at least, for products that are worth reading the weights."""


def rows_at_once(device: torch.device, vocabulary: int) -> int:
    """Rows that are projected to so many pieces at a time."""
    return max(FEWEST_ROWS, LOGITS_HELD.get(device.type, 0) // vocabulary)


def projected_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    label_smoothing: float,
    softcap: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Label-smoothed cross-entropy of `hidden @ weight.T + bias`, summed over rows; see `loss.py` for the formula.

    Under autocast the products run in its dtype, logarithms and sums in float32.

    Args:
        hidden: `[tokens, d_model]`.
        weight: `[vocabulary, d_model]`; its gradient is computed if it needs one.
        bias: `[vocabulary]` or None; takes no gradient.
        targets: `[tokens]` ids.
        label_smoothing: share of the target that is spread over the vocabulary.
        softcap: c, where the logits are `c tanh(x / c)` of that (Gemma 2).

    Returns:
        The smoothed loss, with gradient; and the cross-entropy without smoothing, without gradient. Both in nats.
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    grad = torch.is_grad_enabled()
    return _ProjectedLoss.apply(hidden, weight, bias, targets, label_smoothing, softcap, dtype, grad)


class _ProjectedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        smoothing: float,
        softcap: float | None,
        dtype: torch.dtype,
        with_gradient: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = hidden.device
        exact = torch.promote_types(weight.dtype, torch.float32)
        smoothed, nats = (torch.zeros((), dtype=exact, device=device) for _ in range(2))
        grad_hidden = torch.zeros_like(hidden) if with_gradient else None
        # Summed over chunks in float32, also where a weight that FSDP gathered is narrower.
        grad_weight = torch.zeros_like(weight, dtype=exact) if with_gradient and weight.requires_grad else None
        product = None if grad_weight is None or dtype == exact else torch.empty_like(grad_weight)
        rows = rows_at_once(device, len(weight))
        with torch.autocast(device.type, enabled=False):
            matrix = weight.to(dtype)
            offset = None if bias is None else bias.to(dtype)
            for first in range(0, len(hidden), rows):
                part, target = hidden[first : first + rows].to(dtype), targets[first : first + rows, None]
                logits = functional.linear(part, matrix, offset)
                cross_entropy, uniform, gradient = _of_rows(logits, target, smoothing, softcap, exact, with_gradient)
                nats += cross_entropy
                smoothed += (1 - smoothing) * cross_entropy + smoothing * uniform
                if grad_hidden is None or gradient is None:
                    continue
                grad_hidden[first : first + rows] = gradient @ matrix
                if product is not None and grad_weight is not None:
                    # By way of a tensor that is kept: adding another type would make a new one, as large as the weight.
                    grad_weight += product.copy_(gradient.T @ part)
                elif grad_weight is not None:
                    grad_weight.addmm_(gradient.T, part)
                del logits, gradient  # before the next chunk's, which are as large
        ctx.gradients = grad_hidden, grad_weight
        ctx.mark_non_differentiable(nats)
        return smoothed, nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.gradients
        ctx.gradients = None  # scaled in place, so they serve once
        if grad_weight is not None:
            grad_weight.mul_(scale)
        return grad_hidden.mul_(scale), grad_weight, None, None, None, None, None, None


def _of_rows(
    logits: torch.Tensor,
    target: torch.Tensor,
    smoothing: float,
    softcap: float | None,
    exact: torch.dtype,
    with_gradient: bool,
) -> OfRows:
    """What `_in_place` computes, fused on devices of `FUSED` where that works; the logits serve as scratch space."""
    fused = _fused(BACKEND) if logits.device.type in FUSED and with_gradient else None
    if fused is not None:
        found = fused(logits, target, smoothing, softcap, exact)
        if found is not None:
            return found
    return _in_place(logits.to(exact), target, smoothing, softcap, logits.dtype, with_gradient)


FUSED = frozenset({"cuda"})
"""Kinds of devices on which the elementwise part is compiled to a few kernels. On a CPU it is bound by its cache."""

BACKEND = "inductor"


@cache
def _fused(backend: str) -> Callable[..., OfRows | None]:
    """`_out_of_place`, compiled when it is called first; it gives None once the compiler has failed."""
    compiled: Callable[..., OfRows] | None = torch.compile(_out_of_place, backend=backend)

    def call(logits: torch.Tensor, *more: Any) -> OfRows | None:
        nonlocal compiled
        if compiled is None:
            return None
        torch._dynamo.maybe_mark_dynamic(logits, 0)  # the last chunk has fewer rows
        torch._dynamo.maybe_mark_dynamic(more[0], 0)
        try:
            return compiled(logits, *more)
        except (torch._dynamo.exc.TorchDynamoException, ImportError) as error:
            compiled = None
            reason = " ".join(str(error).partition("\n\n")[0].split())
            logger.warning("the loss is computed operation by operation: it could not be compiled (%s)", reason)
            return None

    return call


def _out_of_place(
    logits: torch.Tensor, target: torch.Tensor, smoothing: float, softcap: float | None, exact: torch.dtype
) -> OfRows:
    """As `_in_place` with the gradient, in operations that a compiler fuses: no tensor of logits in float32 is held."""
    wide, slope = logits.to(exact), None
    if softcap is not None:
        bent = torch.tanh(wide / softcap)
        wide, slope = softcap * bent, 1 - bent.square()
    top = wide.amax(-1, keepdim=True)
    log_total = (wide - top).exp().sum(-1, keepdim=True).log() + top
    own, mean = wide.gather(1, target), wide.mean(-1, keepdim=True)
    is_target = torch.arange(wide.shape[1], device=wide.device) == target
    gradient = (wide - log_total).exp() - smoothing / wide.shape[1] - (1 - smoothing) * is_target.to(exact)
    gradient = gradient if slope is None else gradient * slope
    return (log_total - own).sum(), (log_total - mean).sum(), gradient.to(logits.dtype)


def _in_place(
    logits: torch.Tensor,
    target: torch.Tensor,
    smoothing: float,
    softcap: float | None,
    dtype: torch.dtype,
    with_gradient: bool,
) -> OfRows:
    """The losses of rows, and the gradient in `dtype`.

    Args:
        logits: `[rows, vocabulary]` in float32 or wider; changed in place.
        target: `[rows, 1]` ids.
        smoothing: share of the target that is spread over the vocabulary.
        softcap: see `projected_loss`.
        dtype: of the gradient.
        with_gradient: whether it is computed.
    """
    slope = None
    if softcap is not None:
        logits.div_(softcap).tanh_()
        slope = 1 - logits.square() if with_gradient else None
        logits.mul_(softcap)
    top = logits.amax(-1, keepdim=True)
    own, mean = logits.gather(1, target), logits.mean(-1, keepdim=True)
    shares = logits.sub_(top).exp_()
    total = shares.sum(-1, keepdim=True)
    log_total = total.log().add_(top)
    cross_entropy, uniform = (log_total - own).sum(), (log_total - mean).sum()
    if not with_gradient:
        return cross_entropy, uniform, None
    vocabulary = logits.shape[1]
    gradient = shares.div_(total).sub_(smoothing / vocabulary)
    gradient.scatter_add_(1, target, gradient.new_full(target.shape, smoothing - 1))
    if slope is not None:
        gradient.mul_(slope)
    return cross_entropy, uniform, gradient.to(dtype)
