"""Projection onto the vocabulary and cross-entropy as one step, so that no [tokens, vocabulary] tensor is kept.

The rows are worked off in chunks. Where gradients are wanted, a chunk's gradient is computed right after its
logits, while they are there; the backward pass only scales what is ready (the scheme of Liger Kernel's fused
linear cross-entropy).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

LOGITS_HELD = {"cpu": 2**21, "cuda": 2**27}
"""Logits that are held at a time: on a CPU what stays near its cache, on a GPU what keeps it busy."""

FEWEST_ROWS = 256
"""Rows of a chunk at least, for products that are worth reading the weights."""


def projected_loss(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    label_smoothing: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Label-smoothed cross-entropy of `hidden @ weight.T + bias`, summed over rows; see `loss.py` for the formula.

    Under autocast the products run in its dtype, logarithms and sums in float32.

    Args:
        hidden: `[tokens, d_model]`.
        weight: `[vocabulary, d_model]`.
        bias: `[vocabulary]` or None; takes no gradient.
        targets: `[tokens]` ids.

    Returns:
        The smoothed loss, with gradient; and the cross-entropy without smoothing, without gradient. Both in nats.
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    return _ProjectedLoss.apply(hidden, weight, bias, targets, label_smoothing, dtype, torch.is_grad_enabled())


class _ProjectedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        smoothing: float,
        dtype: torch.dtype,
        with_gradient: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = hidden.device
        exact = torch.promote_types(weight.dtype, torch.float32)
        smoothed, nats = (torch.zeros((), dtype=exact, device=device) for _ in range(2))
        grad_hidden = torch.zeros_like(hidden) if with_gradient else None
        grad_weight, product = (torch.zeros_like(weight) if with_gradient else None for _ in range(2))
        rows = max(FEWEST_ROWS, LOGITS_HELD.get(device.type, 0) // len(weight))
        with torch.autocast(device.type, enabled=False):
            matrix = weight.to(dtype)
            offset = None if bias is None else bias.to(dtype)
            for first in range(0, len(hidden), rows):
                part, target = hidden[first : first + rows].to(dtype), targets[first : first + rows, None]
                logits = functional.linear(part, matrix, offset).to(exact)
                top = logits.amax(-1, keepdim=True)
                own, mean = logits.gather(1, target), logits.mean(-1, keepdim=True)
                shares = logits.sub_(top).exp_()
                total = shares.sum(-1, keepdim=True)
                log_total = total.log().add_(top)
                cross_entropy = (log_total - own).sum()
                nats += cross_entropy
                smoothed += (1 - smoothing) * cross_entropy + smoothing * (log_total - mean).sum()
                if grad_hidden is None or grad_weight is None or product is None:
                    continue
                gradient = shares.div_(total).sub_(smoothing / len(weight))
                gradient.scatter_add_(1, target, gradient.new_full(target.shape, smoothing - 1))
                gradient = gradient.to(dtype)
                grad_hidden[first : first + rows] = gradient @ matrix
                # By way of a tensor that is kept: adding another type would make a new one, as large as the weight.
                grad_weight += product.copy_(gradient.T @ part)
        ctx.gradients = grad_hidden, grad_weight
        ctx.mark_non_differentiable(nats)
        return smoothed, nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.gradients
        ctx.gradients = None  # scaled in place, so they serve once
        return grad_hidden.mul_(scale), grad_weight.mul_(scale), None, None, None, None, None
