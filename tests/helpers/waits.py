"""Counting how often the host asks a tensor for a number or a length: on a GPU each time is a wait."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2", "unique_dim",
    "repeat_interleave",
}  # fmt: skip


class Waits(TorchDispatchMode):
    """Counts the operations whose results the host reads."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indexed = name.startswith(("index", "_index_put")) and any(
            isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in tree_leaves(args[1:])
        )
        if name in WAITS or indexed:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))
