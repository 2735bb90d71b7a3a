"""Reading lines of text, each checked to be UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from neuronspec.core.errors import CorpusError

WINDOW_LINES = 2000
WINDOW_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class Source:
    """Text to translate: where it is from, for messages, and its bytes."""

    name: str
    stream: BinaryIO


def decode(name: str, number: int, raw: bytes) -> str:
    """A line of UTF-8.

    Raises:
        CorpusError: it isn't; names file and line.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{name}:{number}: not valid UTF-8 (byte 0x{raw[error.start]:02x} at column {error.start + 1}); "
            "convert the file to UTF-8"
        ) from None


def windows(source: Source) -> Iterator[list[tuple[str, str]]]:
    r"""Lines with their ends (`\n`, `\r\n`, or nothing at the end of the file), some thousands at a time.

    Raises:
        CorpusError: a line isn't UTF-8.
    """
    window: list[tuple[str, str]] = []
    size = 0
    for number, raw in enumerate(source.stream, start=1):
        text = decode(source.name, number, raw)
        end = "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""
        window.append((text.removesuffix(end) if end else text, end))
        size += len(raw)
        if len(window) >= WINDOW_LINES or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
