"""Nodes of a sweep in processes of this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from neuronspec.core.errors import NeuronspecError
from neuronspec.sweep.executors.executor import (
    Ended,
    Executor,
    log_size,
    reason_of_exit,
    start_worker,
    threads_environment,
)
from neuronspec.sweep.nodes import Node, link
from neuronspec.sweep.settings import Sweep


@dataclass(frozen=True)
class _Job:
    node: Node
    process: subprocess.Popen[bytes]
    begun: float
    place: int
    begin: int


class LocalExecutor(Executor):
    """`processes` workers at a time.

    Args:
        sweep: unused; what nodes need is in their recipes.
        folder: of the sweep; unused.
        processes: at a time; without it, one per GPU, or one.
    """

    def __init__(self, sweep: Sweep, folder: Path, processes: int | None = None) -> None:
        self._given = processes
        self._jobs: dict[Path, _Job] = {}
        self._refused: list[Ended] = []

    @cached_property
    def _gpus(self) -> int:
        import torch

        return torch.cuda.device_count()

    @cached_property
    def _processes(self) -> int:
        return self._given or max(1, self._gpus)

    @property
    def running(self) -> int:
        """See `Executor`."""
        return len(self._jobs) + len(self._refused)

    @property
    def width(self) -> int:
        """See `Executor`."""
        return self._processes

    def start(self, waiting: Sequence[Node], done: AbstractSet[Path]) -> list[tuple[Node, str]]:
        """See `Executor`: the first nodes that need nothing more, as far as there is room."""
        ready = [node for node in waiting if node.needs <= done][: self._processes - len(self._jobs)]
        for node in ready:
            self._start(node)
        return [(node, "started") for node in ready]

    def _start(self, node: Node) -> None:
        try:
            link(node)
        except NeuronspecError as error:
            self._refused.append(Ended(node, 0, str(error)))
            return
        taken = {job.place for job in self._jobs.values()}
        place = next(place for place in range(self._processes) if place not in taken)
        begin = log_size(node.folder)
        process = start_worker(node.folder, node.tasks, self._environment(place))
        self._jobs[node.folder] = _Job(node, process, time.monotonic(), place, begin)

    def _environment(self, place: int) -> Mapping[str, str]:
        """Cores are shared out among the processes, and GPUs dealt to them: those that this process may use."""
        shared = threads_environment(max(1, (os.cpu_count() or 1) // self._processes))
        if self._gpus < 2:
            return shared
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        own = visible[place % self._gpus] if len(visible) >= self._gpus else str(place % self._gpus)
        return shared | {"CUDA_VISIBLE_DEVICES": own}

    def ended(self) -> list[Ended]:
        """See `Executor`."""
        found, self._refused = self._refused, []
        for folder, job in list(self._jobs.items()):
            code = job.process.poll()
            if code is not None:
                del self._jobs[folder]
                reason = reason_of_exit(folder, code, job.begin) if code else None
                found.append(Ended(job.node, time.monotonic() - job.begun, reason))
        return found

    def stop(self) -> str:
        """See `Executor`: each training saves and ends."""
        for job in self._jobs.values():
            job.process.terminate()
        for job in self._jobs.values():
            job.process.wait()
        return "what was running has saved its state"
