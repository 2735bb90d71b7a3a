from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from neuronspec.core.signals import SignalReceived, StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SignalReceived, match=number.name), StopSignals() as stop:
        assert stop.requested is None
        os.kill(os.getpid(), number)
        assert stop.requested == number.name
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.fixture
def python_handles_sigint() -> Iterator[None]:
    """As in a terminal; jobs in the background are started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handles_sigint")
def test_second_sigint_leaves_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")


def test_handlers_come_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_it_does_nothing() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with StopSignals() as stop:
            seen.append((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_raises_what_no_except_exception_catches(name: str) -> None:
    ended = python(f"""
import os, signal
from neuronspec.core.signals import SignalReceived, heed_signals
signal.signal(signal.SIGINT, signal.default_int_handler)
heed_signals()
try:
    try:
        os.kill(os.getpid(), signal.{name})
        signal.pause()
    except Exception:
        print("caught")
except SignalReceived as stopped:
    print(stopped.name)
os.kill(os.getpid(), signal.{name})
signal.pause()
""")
    assert ended.stdout == f"{name}\n", ended.stderr
    assert ended.returncode == -getattr(signal, name), "a second one ends it at once"


def test_an_ignored_signal_stays_ignored() -> None:
    ended = python("""
import os, signal
from neuronspec.core.signals import heed_signals
signal.signal(signal.SIGINT, signal.SIG_IGN)
heed_signals()
os.kill(os.getpid(), signal.SIGINT)
print("goes on")
""")
    assert ended.stdout == "goes on\n" and ended.returncode == 0


def test_code_that_is_not_python_is_ended_too() -> None:
    """Deriving this key takes many minutes, in which Python gets no chance to handle a signal."""
    ended = python("""
import hashlib, logging, os, signal
from neuronspec.core import signals
signals.PATIENCE = 0.1
logging.basicConfig(format="%(message)s")
signals.heed_signals()
try:
    if os.fork() == 0:
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
except signals.SignalReceived:  # before it began
    os._exit(130)
""")
    assert ended.returncode == 130


def test_an_exception_that_python_drops_does_not_lose_the_signal() -> None:
    ended = python("""
import logging, os, signal
from neuronspec.core import signals
signals.PATIENCE = 0.1
logging.basicConfig(format="%(message)s")
class Dropping:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        len("")
signals.heed_signals()
Dropping()
while True:
    pass
""")
    assert ended.returncode == 130 and "stopped by SIGTERM" in ended.stderr
