"""Stopping by signal: finish the update, save, leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from neuronspec.core.errors import NeuronspecError


class Interrupted(NeuronspecError):
    """Training was stopped by a signal after everything was saved; the same command continues from there."""

    exit_code = 130


class StopSignals:
    """While it is entered, the first SIGINT or SIGTERM only sets `requested`; a second one acts as it did before.

    The handlers that were there come back on leaving. Outside the main thread, which alone gets signals, it does
    nothing.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # None: the handler wasn't set from Python and can't be set again from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
