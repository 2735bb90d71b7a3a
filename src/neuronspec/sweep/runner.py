"""Doing the nodes of a sweep: what is done stays, what fails stops nothing but what needs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from neuronspec.core.signals import Interrupted, StopSignals
from neuronspec.sweep.executors.executor import LOG, Ended, Executor
from neuronspec.sweep.nodes import Node

logger = logging.getLogger(__name__)

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
    """Has an executor do nodes.

    Args:
        nodes: each after those that it needs.
        folder: of the sweep; gets `sweep.log`.
        executor: does them.
    """

    def __init__(self, nodes: Sequence[Node], folder: Path, executor: Executor) -> None:
        self._nodes, self._folder, self._executor = list(nodes), folder, executor
        self._seconds: list[float] = []
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Do all nodes that aren't done.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the executor has stopped in order.
            RunError: the executor can't start anything.
        """
        waiting = self._to_do()
        with StopSignals() as stop:
            while waiting or self._executor.running:
                if stop.requested:
                    self._stop(stop.requested)
                waiting = self._start([node for node in waiting if not self._skipped(node)])
                for ended in self._executor.ended():
                    self._note(ended, len(waiting))
                time.sleep(POLL_SECONDS)
        return self.outcome

    def submit(self) -> int:
        """Start all nodes that aren't done, with an executor that outlives this process; the number of those."""
        self._start(self._to_do())
        return self._executor.running

    def _to_do(self) -> list[Node]:
        waiting = [node for node in self._nodes if not self._is_done(node)]
        self._say(f"{len(self.outcome.done)} of {len(self._nodes)} tasks are done already; {len(waiting)} to do")
        return waiting

    def _is_done(self, node: Node) -> bool:
        """Whether the node and all it needs are done; `_nodes` are in the order of their needs."""
        done = node.needs <= self.outcome.done and node.done()
        if done:
            self.outcome.done.add(node.folder)
        return done

    def _skipped(self, node: Node) -> bool:
        """Whether a node needs a failed one; then it is left out."""
        lost = [need for need in sorted(node.needs) if need in self.outcome.failed or need in self.outcome.skipped]
        if lost:
            self.outcome.skipped[node.folder] = self.outcome.skipped.get(lost[0], lost[0].name)
            self._say(f"{node.name}: skipped, as {self.outcome.skipped[node.folder]} failed")
        return bool(lost)

    def _start(self, waiting: Sequence[Node]) -> list[Node]:
        """Start what can be started; what is left."""
        started = set()
        for node, how in self._executor.start(waiting, self.outcome.done):
            started.add(node.folder)
            self._say(f"{node.name}: {how}")
        return [node for node in waiting if node.folder not in started]

    def _note(self, ended: Ended, waiting: int) -> None:
        """Note what has become of a node."""
        node = ended.node
        if ended.reason is None:
            self.outcome.done.add(node.folder)
            self._seconds += [ended.seconds] if node.cell else []
            progress = f"{len(self.outcome.done)} of {len(self._nodes)} done"
            self._say(f"{node.name}: done in {_time(ended.seconds)}; {progress}{self._left(waiting)}")
        elif not self._skipped(node):
            self.outcome.failed[node.folder] = ended.reason
            self._say(f"{node.name}: failed: {ended.reason} (see {node.folder / LOG})")

    def _left(self, waiting: int) -> str:
        """How long the rest will take, once an arm has been trained."""
        left = waiting + self._executor.running
        if not self._seconds or not left:
            return ""
        return f", about {_time(sum(self._seconds) / len(self._seconds) * left / self._executor.width)} left"

    def _stop(self, signal: str) -> None:
        left = self._executor.stop()
        self._say(f"stopped by {signal}")
        raise Interrupted(f"stopped by {signal}; {left} in {self._folder}: the same command continues")

    def _say(self, line: str) -> None:
        logger.info("%s", line)
        with (self._folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
