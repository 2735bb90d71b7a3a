"""API keys: who may use a server, and how much."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from neuronspec.core.errors import PathError
from neuronspec.core.json_files import read_json
from neuronspec.core.settings import Positive, matching
from neuronspec.deploy.server.schemas import Refused

_REMEDY = 'expected [{"name": "weblate", "sha256": "...", "requests": 60, "characters": 10000}, ...]'


class Key(BaseModel):
    """A key, by the SHA-256 of it, so that the file gives none away."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, matching("[0-9a-f]{64}", "64 of the characters 0 to 9 and a to f")]
    requests: Positive | None = Field(None, description="per minute")
    characters: Positive | None = Field(None, description="of one request")


@dataclass(slots=True)
class _Bucket:
    """Requests that a key has left; it fills up within a minute."""

    left: float
    since: float


class Keys:
    """The keys of a server; safe to use from several threads.

    Args:
        keys: each with its limits.
        clock: seconds.

    Raises:
        PathError: two keys have one hash or one name.
    """

    def __init__(self, keys: list[Key], clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = {key.sha256: key for key in keys}
        if len(self._keys) < len(keys) or len({key.name for key in keys}) < len(keys):
            raise PathError("two API keys have the same hash or the same name")
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    @classmethod
    def load(cls, path: Path) -> Keys:
        """Read a file of keys.

        Raises:
            PathError: it can't be read, isn't such a file, or has no key, so that nobody could use the server.
        """
        keys = read_json(path, list[Key], _REMEDY, error=PathError)
        if not keys:
            raise PathError(f"{path} has no key, so nobody could use the server; {_REMEDY}")
        try:
            return cls(keys)
        except PathError as error:
            raise PathError(f"{path}: {error}") from None

    @property
    def most_characters(self) -> int:
        """The largest limit of characters that a key has."""
        return max((key.characters or 0 for key in self._keys.values()), default=0)

    def admit(self, api_key: str | None) -> Key:
        """Count a request.

        Raises:
            Refused: there is no such key, or it has been used too often.
        """
        if not api_key:
            raise Refused(403, "this server needs an API key: send it as api_key")
        key = self._keys.get(hashlib.sha256(api_key.encode("utf-8", "replace")).hexdigest())
        if key is None:
            raise Refused(403, "invalid API key")
        if key.requests is not None:
            self._take(key, key.requests)
        return key

    def _take(self, key: Key, most: int) -> None:
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(key.sha256, _Bucket(most, now))
            bucket.left = min(most, bucket.left + (now - bucket.since) * most / 60)
            bucket.since = now
            if bucket.left < 1:
                wait = math.ceil((1 - bucket.left) * 60 / most)
                raise Refused(429, f"the key {key.name!r} may send {most} requests a minute", retry_after=wait)
            bucket.left -= 1
