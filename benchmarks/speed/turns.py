"""Taking turns: how several training loops share a machine without disturbing each other.

A worker trains in its own process and calls `Turns.update` at the start of each update. It waits there for the word
`go` on its standard input, trains for a number of updates, and prints what they held and took; so that only one
worker computes at a time. Needs nothing but the standard library: it runs in other projects' environments as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "TURN "


class Turns:
    """The worker's side.

    Args:
        warm_up: updates before the first turn.
        updates: updates of a turn.
        settle: waits until the device has done all it was given; returns the peak of its memory in bytes.
    """

    def __init__(self, warm_up: int, updates: int, settle: Callable[[], int] = lambda: 0) -> None:
        self._warm_up, self._updates, self._settle = warm_up, updates, settle
        self._count = 0
        self._start: tuple[float, float, int] | None = None

    def update(self, tokens: int) -> None:
        """An update starts; `tokens` target tokens have been trained on since the worker began."""
        count, self._count = self._count, self._count + 1
        if count == 0:
            report({"built": True})
            sys.stdin.readline()
        if count < self._warm_up or (count - self._warm_up) % self._updates:
            return
        memory = self._settle()
        if self._start is None:
            report({"ready": True})
        else:
            wall, cpu, before = self._start
            seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
            report({"seconds": seconds, "cpu": cpu, "tokens": tokens - before, "memory": memory})
        if not sys.stdin.readline():
            os._exit(0)  # no more turns; there is nothing to save
        self._start = time.perf_counter(), time.process_time(), tokens


def report(facts: dict[str, Any]) -> None:
    print(MARK + json.dumps(facts), flush=True)


class Worker:
    """The other side: a worker's process, which reads its data at once and then waits."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.name, self._log = name, log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=os.environ | environment,
            )  # fmt: skip

    def built(self) -> None:
        """Wait until it has built its model and data."""
        self._next()

    def turn(self) -> dict[str, float]:
        """Let it train for one turn: its seconds, CPU seconds and target tokens. The first one warms up, untimed."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._next()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _next(self) -> dict[str, float]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise SystemExit(f"{self.name} ended with {self._process.wait()}:\n{self._log.read_text()[-3000:]}")
