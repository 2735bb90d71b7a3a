"""A server that runs in a thread, and a client."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from neuronspec.deploy.server.app import create_app
from neuronspec.deploy.server.connections import configured
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.limits import Limits
from neuronspec.deploy.server.posture import Posture


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def running(
    translator: Any,
    posture: Posture | None = None,
    keys: Keys | None = None,
    suggestions: Path | None = None,
    **limits: Any,
) -> Iterator[str]:
    """The address of a server for `translator`."""
    app = create_app(translator, Limits(**limits), posture, keys, suggestions)
    server = uvicorn.Server(configured(app, Limits(**limits), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server didn't start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server ends"


def ask(
    url: str, body: Any = None, kind: str = "application/json", method: str | None = None, **headers: str
) -> Answer:
    """GET, or POST of JSON, or of bytes as they are; `_` in the names of headers stands for `-`."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kinds = {"Content-Type": kind} if data is not None else {}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, kinds | given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())
