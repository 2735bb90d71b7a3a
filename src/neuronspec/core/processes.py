"""The processes that work on one run: one, or as many as `torchrun` starts.

Accelerate finds out which process this is, joins it with the others (NCCL on GPUs, gloo on CPUs) and chooses its
device. In a process that was started alone everything here is a no-op.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from neuronspec.core.errors import NeuronspecError, RecipeError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")

# While the main process prepares text or writes, the others wait; torchrun ends them if it fails. They wait in a group
# of their own over gloo: a GPU that hangs is told within NCCL's own, shorter, limit, and no GPU spins meanwhile.
_LONGEST_WAIT = timedelta(days=7)
_LONGEST_COLLECTIVE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes there are, and which one this is.

    Args:
        rank: of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process prints, writes and decides."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Every `size`-th item from number `rank` on: this process's share."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier(_waiting_group())

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The elementwise sum over processes, on any device; `values` itself where there is one."""
        if self.size > 1:
            from torch import distributed

            group = _waiting_group() if values.device.type == "cpu" else None
            distributed.all_reduce(values := values.clone(), group=group)
        return values

    def gather(self, item: Item) -> list[Item]:
        """What every process passes, by rank, on all of them; pickled in memory, between these processes alone."""
        if self.size == 1:
            return [item]
        from torch import distributed

        items: list[Item | None] = [None] * self.size
        distributed.all_gather_object(items, item, _waiting_group())
        return items  # type: ignore[return-value]


@functools.cache
def _waiting_group() -> Any:
    """The group in which processes wait for each other's work on the CPU: gloo, whatever the GPUs talk over.

    Made once, by all processes at the same point: their first wait.
    """
    from torch import distributed

    return distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)


def processes() -> Processes:
    """The processes that were joined; this one alone without `join`."""
    if "torch" not in sys.modules:  # nothing was joined, and importing it takes seconds
        return Processes()
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return Processes(distributed.get_rank(), distributed.get_world_size())
    return Processes()


def launched() -> bool:
    """Whether `torchrun` (or another launcher that sets its variables) started several processes.

    Raises:
        RecipeError: WORLD_SIZE or RANK isn't a number.
    """
    for name in ("WORLD_SIZE", "RANK"):
        if not os.environ.get(name, "1").isdecimal():
            raise RecipeError(
                f"the environment variable {name} is {os.environ[name]!r}, not a number: torchrun sets it for the "
                "processes that it starts; unset it to work in one process"
            )
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def join() -> Processes:
    """Join the processes that `torchrun` started; in a process started alone, do nothing."""
    if launched():
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available(), timeout=_LONGEST_COLLECTIVE)
    return processes()


def leave(code: int) -> NoReturn:
    """End this process with an exit code.

    Joined processes end at once: taking the process group down now and then waits for ever (gloo under DDP in torch
    2.13), and a process that failed must not wait for the others.
    """
    with contextlib.suppress(NeuronspecError):
        if not launched():
            sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
