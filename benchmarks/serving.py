"""A load test of the server on this machine: 32 connections that ask again as soon as they are answered.

    python benchmarks/serving.py MODEL [--from en] [--to de] [--connections 32] [--seconds 30]

MODEL is an exported folder. The server runs in a process of its own (`neuronspec serve`), and is asked twice: within
its limits, where every request must be answered, and with a small queue, where those over it must get 429 and nothing
else may fail. Told are requests a second, latency, and the memory of the server along the way.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from machine import write_result

WORDS = [
    "save",
    "the",
    "changes",
    "delete",
    "this",
    "page",
    "user",
    "password",
    "new",
    "address",
    "file",
    "name",
    "close",
    "search",
    "settings",
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server didn't come up")


def client(port: int, seed: int, pair: tuple[str, str], end: float, found: list[tuple[int, float]]) -> None:
    draw = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.monotonic() < end:
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))
        body = json.dumps({"q": text, "source": pair[0], "target": pair[1]})
        start = time.perf_counter()
        try:
            connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except OSError:
            status = 0
            connection.close()
        found.append((status, time.perf_counter() - start))
        if status == 429:
            time.sleep(0.05)


def load(model: Path, pair: tuple[str, str], connections: int, seconds: float, *options: str) -> dict[str, Any]:
    port = free_port()
    command = [sys.executable, "-m", "neuronspec.cli.app", "serve", str(model), "--port", str(port), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        found: list[list[tuple[int, float]]] = [[] for _ in range(connections)]
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=client, args=(port, place, pair, end, found[place])) for place in range(connections)
        ]
        for thread in threads:
            thread.start()
        memory = []
        while time.monotonic() < end:
            memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
            time.sleep(seconds / 10)
        for thread in threads:
            thread.join()
        answers = [each for own in found for each in own]
        process.terminate()
        code = process.wait(40)
    finally:
        process.kill()
    served = [taken for status, taken in answers if status == 200]
    return {
        "options": list(options),
        "answers by status": dict(Counter(str(status) for status, _ in answers)),
        "served a second": round(len(served) / seconds, 1),
        "latency p50, ms": round(1000 * statistics.median(served), 1),
        "latency p95, ms": round(1000 * statistics.quantiles(served, n=20)[-1], 1),
        "memory of the server, MB, along the way": [round(each) for each in memory],
        "exit code after SIGTERM": code,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--from", dest="source", default="en")
    parser.add_argument("--to", dest="target", default="de")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    pair = options.source, options.target
    result = {
        "connections": options.connections,
        "seconds": options.seconds,
        "within the limits": load(options.model, pair, options.connections, options.seconds),
        "queue of 200 characters": load(
            options.model, pair, options.connections, options.seconds / 3, "--queue", "200"
        ),
    }
    write_result("serving", result)


if __name__ == "__main__":
    main()
