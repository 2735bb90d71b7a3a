"""Optimizers by name. Each is a function that takes parameters and, of the training section, the keys that it names.

Torch is imported inside the functions, as recipes are checked against the names here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

OPTIMIZERS = Registry[Any]("optimizer", {})
"""The functions below, by the name that `training.optimizer` gives."""


@OPTIMIZERS.register("adamw")
def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    adam_betas: tuple[float, float],
    adam_epsilon: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """AdamW, fused: Adam with decoupled weight decay on all parameters (Loshchilov and Hutter, 2019, algorithm 2).

    Args:
        parameters: to train.
        learning_rate: is set before each step.
        adam_betas: decay of the first and second moment.
        adam_epsilon: added to the root of the second moment.
        weight_decay: decoupled.
    """
    import torch

    return torch.optim.AdamW(
        parameters,
        lr=learning_rate,
        betas=adam_betas,
        eps=adam_epsilon,
        weight_decay=weight_decay,
        fused=True,
    )


@OPTIMIZERS.register("adafactor")
def adafactor(
    parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Adafactor: second moments by rows and columns of each matrix, no first moment (Shazeer and Stern, 2018).

    Algorithm 4 with the paper's constants; its rate is the root mean square of the parameter (section 8) times the
    schedule's rate, or times `1 / sqrt(t)` after t updates where that is less, as in the paper: a rate of 1e-2, the
    paper's, falls from update 10,000 on also where the schedule is constant. So `learning_rate` is relative. PyTorch's
    own implementation, since it is maintained and tested with the optimizers that it ships; the one of transformers is
    a copy of fairseq's of 2019.

    Args:
        parameters: to train.
        learning_rate: is set before each step.
        weight_decay: decoupled.
    """
    import torch

    return torch.optim.Adafactor(parameters, lr=learning_rate, weight_decay=weight_decay)


@OPTIMIZERS.register("adamw_8bit")
def adamw_8bit(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    adam_betas: tuple[float, float],
    adam_epsilon: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """AdamW with both moments in 8 bits, quantized in blocks (Dettmers et al., 2022), of bitsandbytes.

    Tensors of fewer than 4,096 elements keep moments of 32 bits.

    Args:
        parameters: to train.
        learning_rate: is set before each step.
        adam_betas: as for `adamw`.
        adam_epsilon: as for `adamw`.
        weight_decay: decoupled.

    Raises:
        MissingExtraError: bitsandbytes isn't installed.
    """
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise MissingExtraError("bitsandbytes", "8bit", "optimizer: adamw_8bit") from None
    return AdamW8bit(
        list(parameters),
        lr=learning_rate,
        betas=adam_betas,
        eps=adam_epsilon,
        weight_decay=weight_decay,
    )
