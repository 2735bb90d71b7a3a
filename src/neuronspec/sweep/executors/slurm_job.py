"""What a job of Slurm does: one node of a sweep, in a worker that is stopped in order when the job must end.

submitit calls a `NodeJob` in the job. Before the time limit, and before a preemption where the cluster is set so,
Slurm sends the signal for which submitit calls `checkpoint` and queues the job again. SIGTERM comes when the job is
cancelled, preempted or requeued by others: the worker saves, and what becomes of the job is Slurm's to decide.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuronspec.core.errors import RunError
from neuronspec.core.signals import INTERRUPTED
from neuronspec.sweep.executors.executor import log_size, reason_of_exit, start_worker, threads_environment

POLL_SECONDS = 0.2
PATIENCE = 600.0
"""Seconds that a job whose worker was stopped waits for Slurm to end it, before it counts as failed."""


class NodeJob:
    """Does a node; it is stored with the job.

    Args:
        folder: of the node.
        tasks: done there.
        linked: by task before them, the folder of the node that did it.
        threads: of the worker.
    """

    def __init__(self, folder: Path, tasks: Sequence[str], linked: Mapping[str, Path], threads: int) -> None:
        self.folder, self.tasks, self.threads = folder, tuple(tasks), threads
        self.linked = dict(linked)
        self._worker: subprocess.Popen[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_worker": None}

    def __call__(self) -> None:
        """Do the node.

        Raises:
            RunError: it failed; says why.
        """
        begin = log_size(self.folder)
        # Slurm sends the signal to all processes of a job; the worker inherits that it is blocked.
        warning = {_warning_signal()}
        signal.pthread_sigmask(signal.SIG_BLOCK, warning)
        try:
            self._worker = self.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, warning)
        while (code := self._worker.poll()) is None:
            time.sleep(POLL_SECONDS)
        if code in (INTERRUPTED, -signal.SIGTERM):
            # A job that ends by itself now would have failed; one that Slurm ends is requeued if it was preempted.
            time.sleep(PATIENCE)
        if code:
            raise RunError(reason_of_exit(self.folder, code, begin))

    def start(self) -> subprocess.Popen[bytes]:
        """Start the worker.

        Raises:
            RunError: something else is where a link belongs.
        """
        from neuronspec.recipe import Recipe
        from neuronspec.sweep.nodes import Node, link

        link(Node(self.folder, Recipe.of_run(self.folder), self.tasks, self.linked))
        return start_worker(self.folder, self.tasks, threads_environment(self.threads))

    def checkpoint(self) -> Any:
        """Have the worker save and end; what the job does when it runs again."""
        from submitit.helpers import DelayedSubmission

        if self._worker is not None:
            self._worker.terminate()
            if self._worker.returncode is None:
                # `wait` can't be used: this is a signal handler, and `poll` below it may hold the lock that both take
                os.waitid(os.P_PID, self._worker.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(self)


def _warning_signal() -> signal.Signals:
    from submitit.core.job_environment import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
