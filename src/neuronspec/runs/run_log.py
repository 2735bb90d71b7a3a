"""`RUN/run.log`: what happened in a run folder, and when."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from neuronspec.core.signals import SignalReceived

LIBRARY = "neuronspec"


class RunLog(logging.Handler):
    """Adds lines to a file, each with the time: those that it is given, and what the library logs.

    Args:
        path: the file; its folder must exist.
        besides: the logger whose records are left out, as what it says is written in other words.
    """

    def __init__(self, path: Path, besides: logging.Logger) -> None:
        super().__init__()
        self._path = path
        self.addFilter(lambda record: record.name != besides.name)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of the library's log."""
        mark = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        self.write(f"{mark}{self.format(record)}")

    def write(self, line: str) -> None:
        """Add a line; a disk without room for it stops nothing."""
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")


@contextmanager
def logging_to(path: Path, besides: logging.Logger) -> Iterator[RunLog]:
    """Write what the library logs into a file, too, while the block runs."""
    log, library = RunLog(path, besides), logging.getLogger(LIBRARY)
    library.addHandler(log)
    try:
        yield log
    except SignalReceived as stopped:
        log.write(f"stopped by {stopped.name}")
        raise
    finally:
        library.removeHandler(log)
