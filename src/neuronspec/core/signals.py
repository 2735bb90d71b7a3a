"""Stopping by signal: a training finishes its update, saves and leaves; everything else leaves at once, tidily."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

from neuronspec.core.errors import NeuronspecError

logger = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
"""Exit code of a process that a signal stopped."""

PATIENCE = 10.0
"""Seconds after a signal in which a process can end by itself."""


class Interrupted(NeuronspecError):
    """Training was stopped by a signal after everything was saved; the same command resumes there."""

    exit_code = INTERRUPTED


class SignalReceived(BaseException):
    """SIGINT or SIGTERM came. What is being written is cleared away on the way out, so this is no `Exception`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped by {name}; what was finished is kept, and nothing is half-written")
        self.name = name


def heed_signals() -> None:
    """From now on SIGINT and SIGTERM raise `SignalReceived` in the main thread, once; the next ends the process.

    A signal that is ignored (as SIGINT in background jobs of a shell) stays so. While other code than Python's runs,
    such as the trainer of the tokenizer, nothing can be raised, and in some places (`__del__`) Python drops what is
    raised: then the process ends after `PATIENCE`.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


_noted = threading.Event()


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    for each in STOPPING:
        if signal.getsignal(each) == _raise:
            signal.signal(each, signal.SIG_DFL)
    raise SignalReceived(signal.Signals(number).name)


def _watch(reader: int) -> None:
    """End the process if it doesn't by itself, and no `StopSignals` has noted the signal."""
    while number := os.read(reader, 1)[0]:
        if number in STOPPING and not _noted.wait(PATIENCE):
            words = str(SignalReceived(signal.Signals(number).name))
            saying = threading.Thread(target=logger.warning, args=("%s", words), daemon=True)
            saying.start()
            saying.join(1)
            if saying.is_alive():  # the signal came while the main thread held the log's lock
                os.write(2, f"{words}\n".encode())
            os._exit(INTERRUPTED)


class StopSignals:
    """While it is entered, the first SIGINT or SIGTERM only sets `requested`; a second one acts as it did before.

    The handlers that were there come back on leaving; if a signal came and nobody left because of it, leaving raises
    `SignalReceived`. Outside the main thread, which alone gets signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        if self.requested is not None and error is None:
            raise SignalReceived(self.requested)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number).name
        _noted.set()
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            # None: the handler wasn't set from Python and can't be set again from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
