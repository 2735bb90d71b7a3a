"""Dropout whose random numbers are cheap on a CPU.

PyTorch draws one number after the other from a Mersenne twister there, which takes longer than much of the arithmetic
around it. Here 15 bits a value come from numpy's SFC64, many at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

STEPS = 2**15
"""Probabilities are rounded to multiples of 1/STEPS; kept values are scaled by the rounded one's share exactly."""

_ONE = 0x3F80  # 1.0 in bfloat16
_FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


class FastDropout(TorchFunctionMode):
    """Inside of this context `functional.dropout`, of any module, draws its masks the fast way on a CPU.

    Entering draws the seed from PyTorch's generator, so that dropout is still a function of `torch.manual_seed`. A
    function that is computed again in a backward pass outside of the context gets other masks: don't use it with
    gradient checkpointing.
    """

    def __enter__(self) -> FastDropout:
        self._random = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
        super().__enter__()
        return self

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return self._dropout(*args, **kwargs) if func is functional.dropout else func(*args, **kwargs)

    def _dropout(
        self, input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        dropped = round(p * STEPS)
        if not training or dropped == 0:
            return input
        if inplace or input.device.type != "cpu" or input.dtype not in _FLOATS or not 0 < dropped < STEPS:
            return functional.dropout(input, p, training, inplace)
        return input * self._mask(input, dropped)

    def _mask(self, like: torch.Tensor, dropped: int) -> torch.Tensor:
        """0 with probability `dropped / STEPS`, else what makes the mean 1; in the shape and type of `like`."""
        words = self._random.random_raw(-(-like.numel() // 4))
        bits = np.asarray(words).view(np.int16)[: like.numel()]
        bits &= STEPS - 1
        bits -= np.int16(dropped)
        bits >>= 15  # all ones where it was below zero, else zero
        np.invert(bits, out=bits)
        bits &= _ONE
        kept = torch.from_numpy(bits).view(torch.bfloat16).view(like.shape)
        return kept.to(like.dtype).mul_(STEPS / (STEPS - dropped))
