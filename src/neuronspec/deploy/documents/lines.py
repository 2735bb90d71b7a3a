"""Reading lines of text, each checked to be UTF-8."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO

from neuronspec.core.errors import CorpusError

WINDOW_LINES = 2000
WINDOW_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class Source:
    """Text to translate: where it is from, for messages, and its bytes."""

    name: str
    stream: BinaryIO


def without_mark(source: Source) -> tuple[bytes, Source]:
    """The byte order mark of UTF-8 that a document begins with, or nothing, and the document without it.

    Raises:
        CorpusError: the document is in UTF-16 or UTF-32.
    """
    stream = source.stream if hasattr(source.stream, "peek") else BufferedReader(source.stream)  # type: ignore[type-var]
    head = stream.peek(4)[:4]
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in head:
        raise CorpusError(
            f"{source.name}: not UTF-8 but UTF-16 or UTF-32, or no text; convert it, for example with "
            "iconv -f UTF-16 -t UTF-8"
        )
    mark = stream.read(len(BOM_UTF8)) if head.startswith(BOM_UTF8) else b""
    return mark, Source(source.name, stream)


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
