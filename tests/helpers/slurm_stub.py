"""Nodes of a sweep whose work is to write numbers into a file, one after the other; for tests of executors.

As a program it is their worker: `slurm_stub.py FOLDER`. After half of the numbers it waits for the file `go` beside its
folder. On SIGTERM it ends; started again, it continues.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

STEPS = 6


@dataclass(frozen=True)
class StubNode:
    """As `Node`, to executors and the runner."""

    folder: Path
    linked: dict[str, Path] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    cell: Any = None
    recipe: Any = field(default_factory=lambda: SimpleNamespace(to_yaml=lambda: "{}\n"))

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def needs(self) -> set[Path]:
        return set(self.linked.values())

    def done(self) -> bool:
        return (self.folder / "done").exists()

    @property
    def steps(self) -> list[str]:
        path = self.folder / "steps"
        return path.read_text().split() if path.exists() else []

    @property
    def starts(self) -> int:
        return (self.folder / "sweep.log").read_text().count("starts")

    @property
    def holds(self) -> bool:
        """Whether it waits in the middle, started for the `starts`-th time."""
        return (self.folder / "holds").exists()


def stub_nodes(folder: Path, needs: dict[str, Iterable[str]]) -> dict[str, StubNode]:
    """Nodes by name, with the names of those that they need."""
    return {
        name: StubNode(folder / name, {before: folder / before for before in wanted}) for name, wanted in needs.items()
    }


def stub_worker(folder: Path) -> subprocess.Popen[bytes]:
    """Start the worker of a stub node."""
    with (folder / "sweep.log").open("ab") as log:
        return subprocess.Popen([sys.executable, __file__, str(folder)], stdout=log, stderr=log, start_new_session=True)


def main(folder: Path) -> int:
    stopped: list[int] = []
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    path, holds, go = folder / "steps", folder / "holds", folder.parent / "go"
    number = len(path.read_text().split()) if path.exists() else 0
    print("starts at", number, flush=True)
    if folder.name.startswith("bad"):
        print("error: it is bad")
        return 1
    while number < STEPS:
        if number == STEPS // 2 and not go.exists():
            holds.touch()
            while not go.exists() and not stopped and os.getppid() == parent:
                time.sleep(0.02)
            holds.unlink()
        if stopped or os.getppid() != parent:
            print("stopped")
            return 130
        with path.open("a") as steps:
            steps.write(f"{number}\n")
        number += 1
    (folder / "done").touch()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
