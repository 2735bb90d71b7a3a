"""What a person sees of training: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY = 30.0
"""Seconds between lines where the console is no terminal."""


class TrainingProgress:
    """Shows how far training is, its loss and speed, and how long it will still take.

    Args:
        console: where to.
        title: such as the folder's name.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=1.0, facts="")
        self._begun = time.monotonic()
        self._printed = self._begun
        self._begun_at: float | None = None

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, update: int, fraction: float, loss: float, tokens_per_second: float) -> None:
        """After an update: `fraction` of the budget is used."""
        if self._begun_at is None:
            self._begun, self._begun_at = time.monotonic(), fraction
        facts = f"update {update}  loss {loss:.3f}  {tokens_per_second:,.0f} target tokens/s  {self._left(fraction)}"
        self._bar.update(self._task, completed=fraction, facts=facts)
        if not self._console.is_terminal and time.monotonic() - self._printed >= LINE_EVERY:
            self._printed = time.monotonic()
            self._console.print(f"{self._title}: {fraction:.0%}  {facts}", markup=False)

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(f"{self._title}: {text}", markup=False)

    def _left(self, fraction: float) -> str:
        done = fraction - (self._begun_at or 0.0)
        if done <= 0:
            return "? left"
        seconds = round((time.monotonic() - self._begun) / done * max(0.0, 1 - fraction))
        hours, minutes = divmod(seconds // 60, 60)
        return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{seconds % 60:02} left"
