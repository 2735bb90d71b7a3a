"""How long work shows how far it is: through an object that is handed in. What it has to say goes to `logging`.

Functions of the library take `progress: Progress = SILENT`. The command line hands in `Bars`; so does a notebook that
wants to see something.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")
logger = logging.getLogger(__name__)

LINE_EVERY = 30.0
"""Seconds between log lines where there is no terminal to draw a bar on."""


class Task:
    """One piece of work in progress, which shows nothing. Use as a context manager."""

    def __enter__(self) -> Task:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, amount: float = 1, facts: str = "") -> None:
        """Another `amount` is done; `facts` says something about it, such as the speed."""

    def show(self, done: float, facts: str = "") -> None:
        """So much is done in all."""

    def close(self) -> None:
        """The work has ended."""


class Progress:
    """Shows nothing. Subclasses show the tasks that they hand out.

    Examples:
        >>> from neuronspec.core.progress import SILENT
        >>> sum(SILENT.track([1, 2, 3], "adding"))
        6
    """

    def task(self, title: str, total: float | None = None) -> Task:
        """Begin a task.

        Args:
            title: what is done.
            total: how much there is to do, in any unit; None where nobody knows.
        """
        return Task()

    def track(self, items: Iterable[Item], title: str, total: float | None = None) -> Iterator[Item]:
        """The items one by one; each counts as done when the next is asked for."""
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.task(title, total) as task:
            for item in items:
                yield item
                task.advance()


SILENT = Progress()
"""What functions use where nothing is handed in."""


class Bars(Progress):
    """Bars on a terminal and in a notebook; elsewhere a line in the log every `LINE_EVERY` seconds.

    Args:
        console: where bars are drawn; standard error without it.
    """

    def __init__(self, console: Console | None = None) -> None:
        if console is None:
            from rich.console import Console

            console = Console(stderr=True)
        self.console = console

    def task(self, title: str, total: float | None = None) -> Task:
        """Begin a task; see `Progress.task`."""
        if self.console.is_jupyter:
            return _NotebookBar(title, total)
        if self.console.is_terminal:
            return _Bar(self.console, title, total)
        return _Lines(title, total)


class _Bar(Task):
    """A bar of `rich`, which goes when the work has ended."""

    def __init__(self, console: Console, title: str, total: float | None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%" if total else "{task.completed:,.0f}"),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=total, facts="")
        self._bar.start()

    def advance(self, amount: float = 1, facts: str = "") -> None:
        self._bar.update(self._task, advance=amount, facts=facts)

    def show(self, done: float, facts: str = "") -> None:
        self._bar.update(self._task, completed=done, facts=facts)

    def close(self) -> None:
        self._bar.stop()


class _NotebookBar(Task):
    """A bar of `tqdm`: a widget where `ipywidgets` is installed, else a line of text; `rich` shows nothing without."""

    def __init__(self, title: str, total: float | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ipywidgets isn't installed: a line of text does
            from tqdm.auto import tqdm

        done = "{percentage:3.0f}%|{bar}|" if total else "{n:,.0f}"
        form = f"{{desc}}: {done} {{elapsed}}{'<{remaining}' if total else ''}{{postfix}}"
        self._bar = tqdm(desc=title, total=total, bar_format=form, leave=False)

    def advance(self, amount: float = 1, facts: str = "") -> None:
        self.show(self._bar.n + amount, facts)

    def show(self, done: float, facts: str = "") -> None:
        self._bar.set_postfix_str(facts, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _Lines(Task):
    """A line in the log now and then, with the time left."""

    def __init__(self, title: str, total: float | None) -> None:
        self._title, self._total, self._done = title, total, 0.0
        self._first: tuple[float, float] | None = None
        self._printed = time.monotonic()

    def advance(self, amount: float = 1, facts: str = "") -> None:
        self.show(self._done + amount, facts)

    def show(self, done: float, facts: str = "") -> None:
        self._done, now = done, time.monotonic()
        if self._first is None:
            self._first = now, done
        if now - self._printed >= LINE_EVERY:
            self._printed = now
            logger.info("%s", "  ".join(filter(None, [f"{self._title}: {self._share()}", facts, self._left(now)])))

    def _share(self) -> str:
        return f"{self._done / self._total:.0%}" if self._total else f"{self._done:,.0f}"

    def _left(self, now: float) -> str:
        begun, at = self._first or (now, 0.0)
        if not self._total or self._done <= at:
            return ""
        seconds = round((now - begun) / (self._done - at) * max(0.0, self._total - self._done))
        hours, minutes = divmod(seconds // 60, 60)
        return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{seconds % 60:02} left"
