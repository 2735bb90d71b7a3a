"""Connections: how long a client may take to ask, and how many may be open."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from neuronspec.deploy.server.limits import Limits

GRACE = 30
"""Seconds that running requests have left to finish when the server is stopped."""


def configured(app: Any, limits: Limits, **options: Any) -> uvicorn.Config:
    """The settings of a uvicorn server that keeps to limits.

    Args:
        app: what answers.
        limits: of connections.
        options: further ones of `uvicorn.Config`.
    """

    class Bounded(_Patient):
        head_seconds, most = limits.head_seconds, limits.connections

    return uvicorn.Config(app, http=Bounded, ws="none", server_header=False, timeout_graceful_shutdown=GRACE, **options)


class _Patient(H11Protocol):
    """Closes connections on which no request arrives in time.

    uvicorn waits for ever for the head of a first request. Where too many connections are open, that which has waited
    longest for a request makes room; where all are at work, the new one is closed.
    """

    head_seconds: float
    most: int
    waiting_since: float | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.transport.is_closing():
            self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._watch()

    def _watch(self) -> None:
        """Count the time while the client hasn't sent the head of a request; the bodies' time is `Guard`'s matter."""
        if self.conn.their_state is not h11.IDLE or self.conn.our_state is not h11.IDLE:
            self._rest()
        elif self._patience is None:
            self.waiting_since = self.loop.time()
            self._patience = self.loop.call_later(self.head_seconds, self._give_up)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.waiting_since = None

    def _give_up(self) -> None:
        self._rest()
        if not self.transport.is_closing():
            self.transport.close()

    def _make_room(self) -> None:
        idle = [each for each in self.connections if isinstance(each, _Patient) and each.waiting_since is not None]
        oldest = min(idle, key=lambda each: each.waiting_since or 0.0, default=self)
        oldest._give_up()
