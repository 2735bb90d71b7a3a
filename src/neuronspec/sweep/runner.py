"""Running the nodes of a sweep in several processes: what is done stays, what fails stops nothing but what needs it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from neuronspec.core.errors import NeuronspecError
from neuronspec.core.signals import Interrupted, StopSignals
from neuronspec.sweep.nodes import Node, link

logger = logging.getLogger(__name__)

LOG = "sweep.log"
POLL_SECONDS = 0.2


@dataclass
class Outcome:
    """What became of the nodes, by folder.

    Args:
        done: finished, now or before.
        failed: why, in one line.
        skipped: by folder, the name of the failed node that it needs.
    """

    done: set[Path] = field(default_factory=set)
    failed: dict[Path, str] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)


class Runner:
    """Runs nodes, `processes` at a time.

    Args:
        nodes: each after those that it needs.
        folder: of the sweep; gets `sweep.log`.
        processes: at a time.
    """

    def __init__(self, nodes: Sequence[Node], folder: Path, processes: int) -> None:
        self._nodes, self._folder, self._processes = list(nodes), folder, processes
        self._running: dict[Path, tuple[Node, subprocess.Popen[bytes], float, int, int]] = {}
        self._seconds: list[float] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Do all nodes that aren't done.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the running trainings have saved where they are.
        """
        waiting = [node for node in self._nodes if not self._is_done(node)]
        self._say(f"{len(self.outcome.done)} of {len(self._nodes)} tasks are done already; {len(waiting)} to do")
        with StopSignals() as stop:
            while waiting or self._running:
                if stop.requested:
                    self._stop(stop.requested)
                waiting = self._skip(waiting)
                for node in [node for node in waiting if node.needs <= self.outcome.done]:
                    if len(self._running) < self._processes:
                        waiting.remove(node)
                        self._start(node)
                self._collect(len(waiting))
                time.sleep(POLL_SECONDS)
        return self.outcome

    def _is_done(self, node: Node) -> bool:
        """Whether the node and all it needs are done; `_nodes` are in the order of their needs."""
        done = node.needs <= self.outcome.done and node.done()
        if done:
            self.outcome.done.add(node.folder)
        return done

    def _skip(self, waiting: Sequence[Node]) -> list[Node]:
        """Leave out what needs a failed node."""
        left = []
        for node in waiting:
            lost = [need for need in sorted(node.needs) if need in self.outcome.failed or need in self.outcome.skipped]
            if lost:
                self.outcome.skipped[node.folder] = self.outcome.skipped.get(lost[0], lost[0].name)
                self._say(f"{node.name}: skipped, as {self.outcome.skipped[node.folder]} failed")
            else:
                left.append(node)
        return left

    def _start(self, node: Node) -> None:
        try:
            link(node)
        except NeuronspecError as error:
            self._fail(node, str(error))
            return
        place = next(
            place for place in range(self._processes) if place not in [job[3] for job in self._running.values()]
        )
        command = [sys.executable, "-m", "neuronspec.sweep.worker", str(node.folder), *node.tasks]
        with (node.folder / LOG).open("ab") as log:
            begin = log.tell()
            # in a group of its own: Ctrl-C reaches this process alone, which stops the workers in order
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment(place),
                start_new_session=True,
            )  # fmt: skip
        self._running[node.folder] = (node, process, time.monotonic(), place, begin)
        self._say(f"{node.name}: started")

    def _environment(self, place: int) -> Mapping[str, str]:
        """Cores are shared out among the processes, and GPUs dealt to them."""
        import torch

        threads = str(max(1, (os.cpu_count() or 1) // self._processes))
        shared = {name: os.environ.get(name, threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        if torch.cuda.device_count() > 1:
            shared["CUDA_VISIBLE_DEVICES"] = str(place % torch.cuda.device_count())
        return {**os.environ, **shared}

    def _collect(self, waiting: int) -> None:
        """See which processes have ended."""
        for folder, (node, process, begun, _, begin) in list(self._running.items()):
            if process.poll() is None:
                continue
            del self._running[folder]
            seconds = time.monotonic() - begun
            if process.returncode:
                self._fail(node, _reason(node, process.returncode, begin))
                continue
            self.outcome.done.add(folder)
            self._seconds += [seconds] if node.cell else []
            progress = f"{len(self.outcome.done)} of {len(self._nodes)} done"
            self._say(f"{node.name}: done in {_time(seconds)}; {progress}{self._left(waiting)}")

    def _left(self, waiting: int) -> str:
        """How long the rest will take, once an arm has been trained."""
        left = waiting + len(self._running)
        if not self._seconds or not left:
            return ""
        return f", about {_time(sum(self._seconds) / len(self._seconds) * left / self._processes)} left"

    def _fail(self, node: Node, reason: str) -> None:
        self.outcome.failed[node.folder] = reason
        self._say(f"{node.name}: failed: {reason} (see {node.folder / LOG})")

    def _stop(self, signal: str) -> None:
        for _, process, *_ in self._running.values():
            process.terminate()
        for _, process, *_ in self._running.values():
            process.wait()
        self._say(f"stopped by {signal}")
        raise Interrupted(
            f"stopped by {signal}; what was running has saved its state in {self._folder}: the same command continues"
        )

    def _say(self, line: str) -> None:
        logger.info("%s", line)
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")


def _reason(node: Node, code: int, begin: int) -> str:
    """What the process said of its error, in the node's log from byte `begin` on."""
    if code < 0:
        return f"killed by signal {-code}"
    text = (node.folder / LOG).read_bytes()[begin:].decode("utf-8", errors="replace")
    said = text.rpartition("error: ")[2] if "error: " in text else text.strip().rpartition("\n")[2]
    return said.strip() or f"exit code {code}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
