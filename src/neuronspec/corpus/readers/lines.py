"""Lines of text files: strict UTF-8, plain or compressed, with line numbers."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.rows import BLOCK_ROWS

LONGEST_LINE = 2**20
"""Bytes of a line at most, in all its columns."""


def read_blocks(path: Path, size: int = BLOCK_ROWS) -> Iterator[tuple[int, list[str]]]:
    r"""The lines of a UTF-8 file, `size` together (the last block may be shorter), without line ends.

    Each block comes with the number of its first line (from 1). The file may be compressed, or in an archive (see
    `opened`). Lines end with `\n` or `\r\n` and with nothing else, so numbers agree with editors and `wc -l`.

    Raises:
        CorpusError: the file is missing or damaged, or a line isn't UTF-8 or is longer than `LONGEST_LINE`.
    """
    number = 1
    with opened(path) as file:
        lines_of = _bounded(path, file)
        while raw := b"".join(islice(lines_of, size)):
            lines = _decode(path, number, raw)
            yield number, lines
            number += len(lines)


def count_lines(path: Path, longest: int = LONGEST_LINE) -> int:
    """The number of lines of a file, as `read_blocks` counts them.

    Args:
        path: of the file.
        longest: bytes of a line at most.

    Raises:
        CorpusError: the file is missing or damaged, or a line is too long.
    """
    with opened(path) as file:
        return sum(1 for _ in _bounded(path, file, longest))


def _bounded(path: Path, file: IO[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of a file with their ends. A compressed file of a few bytes may hold a line that fills the memory."""
    for number, line in enumerate(iter(partial(file.readline, longest + 1), b""), start=1):
        if len(line) > longest:
            raise CorpusError(
                f"{path}:{number}: a line of more than {longest // 2**20} MiB, so this is no text with a sentence "
                "per line"
            )
        yield line


def _decode(path: Path, number: int, raw: bytes) -> list[str]:
    """The lines of a block that starts at line `number`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if number == 1 and raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise CorpusError(
                f"{path}: not UTF-8 but UTF-16; convert it, for example with iconv -f UTF-16 -t UTF-8"
            ) from None
        start = raw.rfind(b"\n", 0, error.start) + 1
        line = number + raw.count(b"\n", 0, start)
        raise CorpusError(
            f"{path}:{line}: not valid UTF-8: byte 0x{raw[error.start]:02x}, the line's byte number "
            f"{error.start - start + 1} ({error.reason}); convert the file to UTF-8, for example with iconv"
        ) from None
    lines = text.removesuffix("\n").split("\n")
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    if number == 1:
        lines[0] = lines[0].removeprefix("\ufeff")
    return lines
