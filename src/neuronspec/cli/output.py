"""What the command line shows: the library's log as plain lines, progress, tables and JSON."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import typer

from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Bars, Progress

if TYPE_CHECKING:
    from rich.console import Console

LIBRARY = "neuronspec"
"""The logger that all loggers of the library are below."""


class _Lines(logging.Handler):
    """Messages as plain lines on standard output; warnings and errors, marked as such, on standard error."""

    def __init__(self, *, only_stderr: bool) -> None:
        super().__init__()
        self.only_stderr = only_stderr

    def emit(self, record: logging.LogRecord) -> None:
        # the streams of the moment: tests and notebooks exchange them
        try:
            important = record.levelno >= logging.WARNING
            mark = f"{record.levelname.lower()}: " if important else ""
            stream = sys.stderr if important or self.only_stderr else sys.stdout
            print(f"{mark}{self.format(record)}", file=stream, flush=True)
        except BrokenPipeError:
            raise  # nobody reads on: the command ends, without a word
        except OSError:
            self.handleError(record)


def show_log(verbosity: int = 0, *, only_stderr: bool = False) -> None:
    """Show the library's log from now on.

    Args:
        verbosity: 0 shows what happens; 1 adds details (debug messages); -1 shows warnings alone.
        only_stderr: keep standard output free, for JSON and piped results.
    """
    logger = logging.getLogger(LIBRARY)
    for handler in _shown():
        logger.removeHandler(handler)
    lines = _Lines(only_stderr=only_stderr)
    lines.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(verbosity, logging.DEBUG))
    logger.addHandler(lines)
    logger.setLevel(min(lines.level, logging.INFO))  # run.log has what happens, whatever is shown
    logger.propagate = False


def keep_stdout_free() -> None:
    """Show the log on standard error alone from now on: standard output is for the result."""
    for handler in _shown():
        handler.only_stderr = True


def progress() -> Progress:
    """Shows how far the work is, unless the log is shown for warnings alone (`--quiet`)."""
    return Bars() if any(handler.level <= logging.INFO for handler in _shown()) else SILENT


def _shown() -> list[_Lines]:
    return [handler for handler in logging.getLogger(LIBRARY).handlers if isinstance(handler, _Lines)]


def console() -> Console:
    """Where tables are printed; of processes that work together, the main one alone prints.

    Text in brackets or between colons stays as it is: it may be a user's, not markup of ours.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True, quiet=not processes().is_main)


def print_json(content: Any) -> None:
    """Print a value for programs; of processes that work together, the main one alone does."""
    import json

    if processes().is_main:
        typer.echo(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def print_facts(facts: dict[str, Any]) -> None:
    """Print facts as a table, but those that aren't known, or that there are none of."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in _told(facts):
        if isinstance(value, dict):
            value = "\n".join(f"{key}: {_brief(item)}" for key, item in value.items())
        table.add_row(name.replace("_", " "), _brief(value))
    console().print(table)


def _brief(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_brief, value))
    if isinstance(value, dict):
        return ", ".join(f"{str(key).replace('_', ' ')} {_within(item)}" for key, item in _told(value))
    return str(value)


def _within(value: Any) -> str:
    return f"({_brief(value)})" if isinstance(value, dict) else _brief(value)


def _told(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in facts.items() if value is not None and value != {} and value != []]
