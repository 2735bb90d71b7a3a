"""Load tests of the server on this machine, whose clients ask again as soon as they are answered.

    python benchmarks/serving.py MODEL [--from en] [--to de] [--connections 64] [--requests 10000] [--rounds 7]

MODEL is an exported folder. The server runs in a process of its own (`neuronspec serve`):

- many requests: all must be answered; the server's memory after the first tenth and along the way;
- a small queue: what is over it must get 429, and nothing else may fail;
- half-open connections: rounds with 200 connections that send the beginning of a request and then nothing, and rounds
  without them, by turns. The ratio is the median of the rounds' ratios, so that the machine's noise cancels;
- kill -9 in the middle of it all: the server is started again at the same port, and must answer as before.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from machine import write_result

WORDS = [
    *("save", "the", "changes", "delete", "this", "page", "user", "password"),
    *("new", "address", "file", "name", "close", "search", "settings"),
]
HALF_OPEN = 200
BEGUN = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-"
STATUS_LOST = 0


class Server:
    """A server of a model in a process of its own."""

    def __init__(self, model: Path, *options: str, port: int | None = None) -> None:
        self.port = port or _free_port()
        command = [sys.executable, "-m", "neuronspec", "serve", str(model), "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if f":{self.port}/" in line:
                break
        else:
            raise SystemExit("the server didn't come up")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    @property
    def memory(self) -> float:
        """Resident, in MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def served(model: Path, *options: str, port: int | None = None) -> Iterator[Server]:
    server = Server(model, *options, port=port)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Load:
    """Requests over several connections at once.

    Attributes:
        answers: status and seconds of each request, as they came; `STATUS_LOST` where no answer did.
    """

    def __init__(self, port: int, pair: tuple[str, str], connections: int, requests: int) -> None:
        self._port, self._pair, self._numbers = port, pair, itertools.count()
        self._requests = requests
        self.answers: list[tuple[int, float]] = []
        self.stopped = False
        self._threads = [threading.Thread(target=self._client, args=(seed,)) for seed in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.stopped = self.stopped or problem[0] is not None
        for thread in self._threads:
            thread.join()

    @property
    def going(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _client(self, seed: int) -> None:
        draw = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while next(self._numbers) < self._requests and not self.stopped:
            text = " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))
            body = json.dumps({"q": text, "source": self._pair[0], "target": self._pair[1]})
            start = time.perf_counter()
            try:
                connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = STATUS_LOST
                connection.close()
            self.answers.append((status, time.perf_counter() - start))
            if status != 200:
                time.sleep(0.05)
        connection.close()

    def summary(self) -> dict[str, Any]:
        taken = [seconds for status, seconds in self.answers if status == 200]
        return {
            "answers by status": dict(Counter(str(status) for status, _ in self.answers)),
            "latency p50, ms": round(1000 * statistics.median(taken), 1),
            "latency p95, ms": round(1000 * p95(self), 1),
        }


def p95(load: Load) -> float:
    return statistics.quantiles([seconds for status, seconds in load.answers if status == 200], n=20)[-1]


def many_requests(model: Path, pair: tuple[str, str], connections: int, requests: int) -> dict[str, Any]:
    with served(model) as server:
        start, memory = time.perf_counter(), [server.memory]
        with Load(server.port, pair, connections, requests) as load:
            while load.going:
                if len(load.answers) >= len(memory) * requests / 10:
                    memory.append(server.memory)
                time.sleep(0.02)
        seconds = time.perf_counter() - start
        memory.append(server.memory)
        return {
            "requests": requests,
            **load.summary(),
            "requests per second": round(requests / seconds, 1),
            "memory, MB, at the start": round(memory[0]),
            "memory, MB, after each tenth": [round(each) for each in memory[1:]],
            "memory, MB, at the end beyond that after a tenth": round(memory[-1] - memory[1], 1),
            "exit code after SIGTERM": server.stop(),
        }


def full_queue(model: Path, pair: tuple[str, str], connections: int, requests: int) -> dict[str, Any]:
    with served(model, "--queue", "200") as server:
        with Load(server.port, pair, connections, requests) as load:
            pass
        return load.summary() | {"exit code after SIGTERM": server.stop()}


@contextmanager
def half_open(port: int, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(number)]
        for each in held:
            each.sendall(BEGUN)
        yield held


def still_open(held: list[socket.socket]) -> int:
    """Those that the server hasn't closed."""
    number = 0
    for each in held:
        each.setblocking(False)
        try:
            each.recv(1)
        except BlockingIOError:
            number += 1
        except OSError:
            pass
    return number


def half_open_rounds(
    model: Path, pair: tuple[str, str], connections: int, requests: int, rounds: int
) -> dict[str, Any]:
    """The server gives up what doesn't ask in 10 seconds, so a round has to be shorter; the first warms up."""
    found: dict[int, list[float]] = {0: [], HALF_OPEN: []}
    held_on = []
    with served(model) as server:
        for place in range(rounds + 1):
            for number in ((0, HALF_OPEN), (HALF_OPEN, 0))[place % 2]:
                with half_open(server.port, number) as held, Load(server.port, pair, connections, requests) as load:
                    while load.going:
                        time.sleep(0.02)
                    if number:
                        held_on.append(still_open(held))
                lost = [status for status, _ in load.answers if status != 200]
                assert not lost, f"not answered: {Counter(lost)}"
                if place:
                    found[number].append(p95(load))
    ratios = [loaded / free for free, loaded in zip(found[0], found[HALF_OPEN], strict=True)]
    return {
        "rounds": rounds,
        "requests in a round": requests,
        "half-open connections": HALF_OPEN,
        "of them open at the end of a round, at least": min(held_on),
        "p95 without them, ms, median": round(1000 * statistics.median(found[0]), 1),
        "p95 with them, ms, median": round(1000 * statistics.median(found[HALF_OPEN]), 1),
        "ratio of p95, median of the rounds": round(statistics.median(ratios), 3),
        "ratio of p95, by round": [round(each, 3) for each in ratios],
    }


def killed(model: Path, pair: tuple[str, str], connections: int) -> dict[str, Any]:
    with served(model) as server, Load(server.port, pair, connections, sys.maxsize) as load:
        while len(load.answers) < 5 * connections:
            time.sleep(0.02)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        before, start = list(load.answers), time.perf_counter()
        with served(model, port=server.port) as again:
            up = time.perf_counter() - start
            first = len(load.answers)
            while len([1 for status, _ in load.answers[first:] if status == 200]) < 5 * connections:
                time.sleep(0.02)
            load.stopped = True
            after = load.answers[first + connections :]
            return {
                "before it, answers by status": dict(Counter(str(status) for status, _ in before)),
                "seconds until it was up again": round(up, 1),
                "then, answers by status": dict(Counter(str(status) for status, _ in after)),
                "exit code after SIGTERM": again.stop(),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--from", dest="source", default="en")
    parser.add_argument("--to", dest="target", default="de")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    model, pair, connections = options.model, (options.source, options.target), options.connections
    a_round = max(100, options.requests // 20)
    result = {
        "connections": connections,
        "many requests": many_requests(model, pair, connections, options.requests),
        "queue of 200 characters": full_queue(model, pair, connections, a_round),
        "half-open connections": half_open_rounds(model, pair, connections, a_round, options.rounds),
        "kill -9": killed(model, pair, connections),
    }
    write_result("serving", result)


if __name__ == "__main__":
    main()
