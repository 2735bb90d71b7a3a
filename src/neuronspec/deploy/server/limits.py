"""Limits of a server, and the middleware that keeps bodies small and counts answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from neuronspec.deploy.server.counters import Metrics


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes.

    Args:
        characters: of the texts of one request.
        texts: in one request.
        queue: characters that may wait, of all requests.
        seconds: until a request is given up.
    """

    characters: int = 10_000
    texts: int = 200
    queue: int = 200_000
    seconds: float = 30.0

    @property
    def body(self) -> int:
        r"""Bytes of a request's body: every character may be escaped as `\uXXXX\uXXXX`."""
        return 12 * self.characters + 100 * self.texts + 4096


class Guard:
    """ASGI middleware: refuses bodies over the limit before they are read whole, and counts and times answers."""

    def __init__(self, app: Any, limits: Limits, metrics: Metrics, paths: set[str]) -> None:
        self._app, self._limits, self._metrics, self._paths = app, limits, metrics, paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, taken = time.perf_counter(), 0, 0
        path = scope["path"] if scope["path"] in self._paths else "other"
        sized = [int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()]

        async def counted() -> Any:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limits.body:
                raise _TooLarge
            return message

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if sized and sized[0] > self._limits.body:
                raise _TooLarge
            await self._app(scope, counted, watched)
        except _TooLarge:
            text = f"the body is over {self._limits.body} bytes; send at most {self._limits.characters} characters"
            await JSONResponse({"error": text}, 413, {"connection": "close"})(scope, receive, watched)
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)


class _TooLarge(Exception):
    pass
