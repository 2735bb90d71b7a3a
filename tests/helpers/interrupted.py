"""Commands that are cut off at their n-th change of a folder: killed, stopped by a signal, or with no room on the disk.

They are forks, as those of `forked.py`. What counts as a change is told by Python's audit hooks: files opened for
writing, renamed, linked or removed, folders made or removed. Those of the workers of a sweep count, too.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.forked import Order, Server, serve

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link"}
NEVER = 1 << 40


@dataclass
class Ended:
    """How a command ended.

    Args:
        code: exit code, or minus the number of the signal that killed it.
        changes: of the folder until then.
        output: on standard output and error.
    """

    code: int
    changes: int
    output: str


class Commands:
    """Runs commands in forks of a server process."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(
        self,
        *arguments: object,
        below: Path = Path("/"),
        at: int = NEVER,
        how: str = "SIGKILL",
        reads: bool = False,
        largest: int | None = None,
    ) -> Ended:
        """Run `neuronspec ARGUMENTS`; do `how` (a signal, or `full`) at change number `at` of the folder `below`.

        With `reads`, opening a file to read it counts, too. With `largest`, no file can become larger than that many
        bytes.
        """
        ended = self._server(*arguments, below=str(below), at=at, how=how, reads=reads, largest=largest)
        return Ended(ended["code"], ended["changes"], ended["out"] + ended["err"])


@contextmanager
def commands() -> Iterator[Commands]:
    """A server for as long as the block runs."""
    server = Server(__name__)
    try:
        yield Commands(server)
    finally:
        server.close()


def _serve() -> None:
    counter = mmap.mmap(-1, 8)

    def begin(order: Order) -> None:
        counter[:8] = bytes(8)
        if order["largest"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"],) * 2)
        _count(order, counter, os.getpid())

    serve(begin, lambda: {"changes": int.from_bytes(counter[:8], "little")})


def _count(order: Order, counter: mmap.mmap, main: int) -> None:
    below, at, how, reads = (order[name] for name in ("below", "at", "how", "reads"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not _counts(event, arguments, below, reads):
            return
        number = int.from_bytes(counter[:8], "little") + 1
        counter[:8] = number.to_bytes(8, "little")
        if how == "full":
            if number >= at and event in ("open", "os.mkdir"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        elif number == at:
            for process in (main, os.getpid()) if how == "SIGKILL" else (main,):
                os.kill(process, signal.Signals[how])

    sys.addaudithook(hook)


def _counts(event: str, arguments: tuple[Any, ...], below: str, reads: bool) -> bool:
    if event == "open":
        writes = arguments[2] is not None and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes or reads) and str(arguments[0]).startswith(below)
    return event in CHANGES and any(str(each).startswith(below) for each in arguments[:2])


if __name__ == "__main__":
    _serve()
