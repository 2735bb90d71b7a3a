"""Limits of a server, and the middleware that holds requests to them and counts answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from neuronspec.deploy.server.counters import Metrics

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
"""The status that metrics show where there was nobody to answer, as nginx does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes.

    Args:
        characters: of the texts of one request.
        texts: in one request.
        queue: characters that may wait, of all requests.
        seconds: until a request is given up.
        document: bytes of a file to translate.
        document_seconds: until a file is given up.
        body_seconds: for a client to send its request's body.
        head_seconds: for a client to send a request's head on an open connection.
        connections: open ones.
        kept_bytes: of translated files that are kept for download.
        kept_seconds: until a translated file is removed.
    """

    characters: int = 10_000
    texts: int = 200
    queue: int = 200_000
    seconds: float = 30.0
    document: int = 1_000_000
    document_seconds: float = 600.0
    body_seconds: float = 20.0
    head_seconds: float = 10.0
    connections: int = 500
    kept_bytes: int = 100_000_000
    kept_seconds: float = 1800.0

    def body(self, path: str) -> int:
        r"""Bytes of a request's body: every character may be escaped as `\uXXXX\uXXXX`."""
        if path.rstrip("/") == "/translate_file":
            return self.document + 4096
        return 12 * self.characters + 100 * self.texts + 4096


class Guard:
    """ASGI middleware: refuses bodies that are too large or too slow, and counts and times answers.

    Args:
        app: what answers.
        limits: of requests.
        metrics: where answers are counted.
        label: the name of a path in the metrics.
    """

    def __init__(self, app: Any, limits: Limits, metrics: Metrics, label: Callable[[str], str]) -> None:
        self._app, self._limits, self._metrics, self._label = app, limits, metrics, label

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0
        path, most = self._label(scope["path"]), self._limits.body(scope["path"])

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def refuse(code: int, text: str) -> None:
            if not status:
                await JSONResponse({"error": text}, code, {"connection": "close"})(scope, receive, watched)

        try:
            if _declared(scope) > most:
                raise _TooLarge
            await self._app(scope, self._bounded(receive, most), watched)
        except _TooLarge:
            await refuse(413, f"the body is over {most} bytes; send at most {self._largest(scope['path'])}")
        except _TooSlow:
            await refuse(408, f"the body took more than {self._limits.body_seconds:g} seconds to arrive")
        except ClientDisconnect:
            status = CLIENT_LEFT
        except asyncio.CancelledError:
            await refuse(503, "the server is shutting down")
        except Exception:  # the last stop of a request: whatever it is, it is logged, counted and answered
            logger.exception("%s failed", path)
            await refuse(500, "the server failed; its log says where")
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)

    def _largest(self, path: str) -> str:
        if path.rstrip("/") == "/translate_file":
            return f"a file of {self._limits.document} bytes"
        return f"{self._limits.characters} characters"

    def _bounded(self, receive: Any, most: int) -> Any:
        """`receive`, which raises where a body is too large or takes too long."""
        taken, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self._limits.body_seconds

        async def bounded() -> Any:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _TooSlow from None
            complete = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLarge
            return message

        return bounded


def _declared(scope: Any) -> int:
    sized = [int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()]
    return sized[0] if sized else 0


class _TooLarge(Exception):
    pass


class _TooSlow(Exception):
    pass
