"""Commands as processes that start at once: forks of a process that has imported everything, which takes seconds.

The fork has the caller's folder and environment, and the command begins in it where the script `neuronspec` does. The
workers of a sweep are forks as well.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
PATH = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT), str(ROOT / "src")])
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": PATH}

NEEDED = """
    pandas sacrebleu.metrics scipy.cluster.hierarchy sentencepiece.sentencepiece_model_pb2
    transformers.models.m2m_100.modeling_m2m_100
    neuronspec.analysis.of_run neuronspec.cli.app neuronspec.corpus.prepare neuronspec.deploy.translator
    neuronspec.report.page.html neuronspec.runs.pipeline neuronspec.sweep.worker neuronspec.training.train
    neuronspec.translation.transformers_engine
""".split()  # noqa: SIM905

Order = dict[str, Any]


class Server:
    """The process that forks.

    Args:
        module: its main module, which calls `serve`.
    """

    def __init__(self, module: str = __name__) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )

    def __call__(self, *arguments: object, **order: Any) -> dict[str, Any]:
        """Run `neuronspec ARGUMENTS`; its exit code (minus the number of a signal) and what it printed."""
        order |= {"arguments": [str(each) for each in arguments], "folder": str(Path.cwd())}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@cache
def _server() -> Server:
    server = Server()
    atexit.register(server.close)
    return server


def neuronspec(
    *arguments: object, text: str | None = None, columns: int = 200, timeout: int = 300
) -> subprocess.CompletedProcess[str]:
    """Run `neuronspec ARGUMENTS` in a process of its own.

    Args:
        arguments: of the command line.
        text: its standard input; none by default.
        columns: the width of what it prints.
        timeout: seconds after which it is killed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": str(columns)}
    ended = _server()(*arguments, text=text or "", environment=environment, timeout=timeout)
    return subprocess.CompletedProcess(list(arguments), ended["code"], ended["out"], ended["err"])


def serve(begin: Callable[[Order], None] = lambda order: None, told: Callable[[], dict[str, Any]] = dict) -> None:
    """Fork for each order that comes in as a line, until there are no more.

    Args:
        begin: called in the fork before the command.
        told: more of what is answered, when the fork has ended.
    """
    from neuronspec.sweep.executors import executor

    _prepare()
    executor.subprocess = SimpleNamespace(Popen=_Worker, DEVNULL=None)  # type: ignore[attr-defined, assignment]
    for line in sys.stdin:
        order = json.loads(line)
        pipes = [os.pipe() for _ in range(3)]  # no files: their size would count where it is limited
        pid = os.fork()
        if pid == 0:
            _become(order, pipes)
            begin(order)
            leave(_command)
        (given, feed), *printed = pipes
        os.close(given)
        for _, writer in printed:
            os.close(writer)
        out, err = _exchange(feed, order.get("text", "").encode(), [reader for reader, _ in printed])
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"code": code, "out": out, "err": err} | told()), flush=True)


def _prepare() -> None:
    """Import and read what most commands need, so that a fork has it."""
    for name in NEEDED:
        import_module(name)
    from plotly.graph_objects import Figure

    from neuronspec.analysis.uriel import known_languages
    from neuronspec.scoring.langid import LanguageIdentifier

    Figure()
    LanguageIdentifier(["de", "en"])
    known_languages(["de", "en"])
    gc.freeze()


def _become(order: Order, pipes: list[tuple[int, int]]) -> None:
    (given, feed), *printed = pipes
    os.dup2(given, 0)
    for number, (reader, writer) in enumerate(printed, start=1):
        os.close(reader)
        os.dup2(writer, number)
        os.close(writer)
    os.close(given)
    os.close(feed)
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    os.chdir(order["folder"])
    if "environment" in order:
        os.environ.clear()
        os.environ.update(order["environment"])
    if "timeout" in order:
        signal.alarm(order["timeout"])
    sys.argv = ["neuronspec", *order["arguments"]]
    sys.modules["__main__"].__package__ = None  # usage is that of a script, not of a module


def _exchange(feed: int, text: bytes, readers: list[int]) -> list[str]:
    """Give a process its standard input, and read what it prints until it closes both ends."""
    found: dict[int, list[bytes]] = {reader: [] for reader in readers}
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        selector.register(feed, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select():
                if key.fd == feed:
                    text = _given(feed, text)
                    if not text:
                        selector.unregister(feed)
                        os.close(feed)
                elif part := os.read(key.fd, 1 << 16):
                    found[key.fd].append(part)
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    texts = [b"".join(parts).decode("utf-8", "surrogateescape") for parts in found.values()]
    return [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]


def _given(feed: int, text: bytes) -> bytes:
    """What is left of the text when some of it is given; nothing where nobody reads it."""
    try:
        return text[os.write(feed, text[: select.PIPE_BUF]) :] if text else b""
    except BrokenPipeError:
        return b""


def _command() -> int:
    from neuronspec.cli.start import main

    main()
    return 0


def leave(command: Callable[[], int | None]) -> None:
    """End this process as Python ends one that runs the command."""
    code = 1
    try:
        code = command() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 (as Python does at the top)
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _Worker:
    """Stands in for the process that a sweep starts."""

    def __init__(self, command: list[str], *, stdout: Any, start_new_session: bool, **_: Any) -> None:
        from neuronspec.sweep.worker import main

        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for number in (1, 2):
                os.dup2(stdout.fileno(), number)
            leave(lambda: main(command[3:]))

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


if __name__ == "__main__":
    serve()
