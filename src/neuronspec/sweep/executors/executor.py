"""What an executor does for the runner of a sweep, and the worker process that does a node in each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from neuronspec.sweep.nodes import Node

LOG = "sweep.log"
"""What a sweep and its workers say, in the folder of the sweep and of each node."""


class Ended(NamedTuple):
    """A node that is no longer worked on.

    Args:
        node: which one.
        seconds: that it took.
        reason: why it failed, in one line; None if it is done.
    """

    node: Node
    seconds: float
    reason: str | None = None


class Executor(ABC):
    """Does nodes of a sweep."""

    outlives = False
    """Whether nodes keep running when the sweep's process exits."""

    @property
    @abstractmethod
    def running(self) -> int:
        """The number of nodes that were started and haven't ended."""

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of nodes that are done at a time, as far as is known."""

    def plan(self, nodes: Sequence[Node], done: AbstractSet[Path]) -> Iterator[str]:
        """Lines that say what would be started.

        Args:
            nodes: of the sweep, each after those that it needs.
            done: the folders of nodes that are done.
        """
        return iter(())

    @abstractmethod
    def start(self, waiting: Sequence[Node], done: AbstractSet[Path]) -> list[tuple[Node, str]]:
        """Start what can be started now.

        Args:
            waiting: nodes, each after those that it needs.
            done: the folders of nodes that are done.

        Returns:
            The nodes that were started, each with what to say of it.
        """

    @abstractmethod
    def ended(self) -> list[Ended]:
        """The nodes that have ended since the last call; a node comes after those that it needs."""

    @abstractmethod
    def stop(self) -> str:
        """The sweep is stopped by a signal; returns what has become of the nodes that were started."""


def start_worker(folder: Path, tasks: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process that does `tasks` in a run folder; what it says goes into the folder's log."""
    command = [sys.executable, "-m", "neuronspec.sweep.worker", str(folder), *tasks]
    with (folder / LOG).open("ab") as log:
        # in a group of its own: Ctrl-C reaches the sweep alone, which stops the workers in order
        return subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**environment}, start_new_session=True
        )


def threads_environment(threads: int) -> dict[str, str]:
    """This process's environment, with the number of threads of a worker where it doesn't say: one number for all."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    given = next((os.environ[name] for name in names if os.environ.get(name)), str(threads))
    return {**os.environ, **{name: os.environ.get(name) or given for name in names}}


def log_size(folder: Path) -> int:
    """Where the log of a node ends now, in bytes."""
    log = folder / LOG
    return log.stat().st_size if log.exists() else 0


def said(folder: Path, begin: int) -> str:
    """What a worker said of its error, in the log of its node from byte `begin` on; empty if it said nothing."""
    log = folder / LOG
    text = log.read_bytes()[begin:].decode("utf-8", errors="replace") if log.exists() else ""
    return (text.rpartition("error: ")[2] if "error: " in text else text.strip().rpartition("\n")[2]).strip()


def reason_of_exit(folder: Path, code: int, begin: int) -> str:
    """Why a worker ended with an exit code other than 0, in one line."""
    return f"killed by signal {-code}" if code < 0 else said(folder, begin) or f"exit code {code}"
