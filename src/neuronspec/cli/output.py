"""What the command line shows of the library's log: plain lines, warnings on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LIBRARY = "neuronspec"
"""The logger that all loggers of the library are below."""


class _Lines(logging.Handler):
    """Messages as plain lines on standard output; warnings and errors, marked as such, on standard error."""

    def __init__(self, *, only_stderr: bool) -> None:
        super().__init__()
        self._only_stderr = only_stderr

    def emit(self, record: logging.LogRecord) -> None:
        # the streams of the moment: tests and notebooks exchange them
        try:
            important = record.levelno >= logging.WARNING
            mark = f"{record.levelname.lower()}: " if important else ""
            stream = sys.stderr if important or self._only_stderr else sys.stdout
            print(f"{mark}{self.format(record)}", file=stream, flush=True)
        except OSError:
            self.handleError(record)


def show_log(verbosity: int = 0, *, only_stderr: bool = False) -> None:
    """Show the library's log from now on.

    Args:
        verbosity: 0 shows what happens; 1 adds details (debug messages); -1 shows warnings alone.
        only_stderr: keep standard output free, for JSON and piped results.
    """
    logger = logging.getLogger(LIBRARY)
    for handler in [one for one in logger.handlers if isinstance(one, _Lines)]:
        logger.removeHandler(handler)
    logger.addHandler(_Lines(only_stderr=only_stderr))
    logger.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(verbosity, logging.DEBUG))
    logger.propagate = False


def console() -> Console:
    """Where tables are printed; of processes that work together, the main one alone prints."""
    from rich.console import Console

    from neuronspec.core.processes import processes

    return Console(highlight=False, soft_wrap=True, quiet=not processes().is_main)
