"""Better translations that users suggest: kept only where a file is named for them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from neuronspec.core.errors import PathError
from neuronspec.deploy.server.schemas import Refused, SuggestRequest

LARGEST = 100_000_000
"""Bytes of the file at most: whoever may ask may fill it."""


def check_kept(path: Path) -> None:
    """Check, before the server takes suggestions, that they can be appended to a file. It is made if it isn't there.

    Raises:
        PathError: they can't.
    """
    try:
        path.open("a").close()
    except OSError as error:
        reason = error.strerror or error
        raise PathError(
            f"--suggestions {path} can't be written: {reason}; name a file in a folder that is there"
        ) from None


class Suggestions:
    """A file with a suggestion per line, as JSON: `{"q": ..., "s": ..., "source": ..., "target": ...}`.

    Args:
        path: the file; None: suggestions aren't taken.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._lock = path, threading.Lock()

    def __bool__(self) -> bool:
        return self._path is not None

    def add(self, suggestion: SuggestRequest, source: str, target: str) -> None:
        """Append one.

        Raises:
            Refused: they aren't taken here, or the file is full.
        """
        if self._path is None:
            raise Refused(403, "suggestions are disabled on this server")
        values = {"q": suggestion.q, "s": suggestion.s, "source": source, "target": target}
        line = json.dumps(values, ensure_ascii=False) + "\n"
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            if stream.tell() + len(line.encode()) > LARGEST:
                raise Refused(503, "there is no room for more suggestions")
            stream.write(line)
