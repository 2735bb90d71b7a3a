"""Functions that tests send to worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

from neuronspec.corpus.ingest import Cleaned, Cleaner
from neuronspec.corpus.readers.rows import Rows
from neuronspec.corpus.workers import Workers


def square_in(number: int) -> tuple[int, int]:
    """The square, and the process that computed it; even numbers take longer."""
    if number % 2 == 0:
        time.sleep(0.02)
    return number * number, os.getpid()


def refuse_five(number: int) -> int:
    if number == 5:
        raise ValueError("five")
    return number


def die_at_five(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class DyingCleaner(Cleaner):
    """A cleaner whose process is killed."""

    def __call__(self, rows: Rows) -> Cleaned:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(rows)


def endless() -> Iterator[int]:
    """1, 3, 5, ..."""
    number = 1
    while True:
        yield number
        number += 2


if __name__ == "__main__":
    with Workers(2) as workers:
        for _, process in workers.map(square_in, endless()):
            sys.stdout.write(f"{process}\n")
            sys.stdout.flush()
