"""Lines of text files: strict UTF-8, plain or compressed, with line numbers."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from neuronspec.errors import CorpusError


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers (from 1), without line ends; `.gz` and `.xz` are decompressed.

    Lines end with `\\n` or `\\r\\n` and with nothing else, so numbers agree with editors and `wc -l`.

    Raises:
        CorpusError: the file is missing, damaged, or not UTF-8 (with the line).
    """
    number = 0
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number}: not valid UTF-8: byte 0x{error.object[error.start]:02x}, the line's byte number "
            f"{error.start + 1} ({error.reason}); convert the file to UTF-8, for example with iconv"
        ) from None
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise CorpusError(f"{path}: damaged or not compressed as its name says, after line {number}: {error}") from None
    except OSError as error:
        raise CorpusError(f"{path}: can't be read: {error.strerror or error}") from None


def _open(path: Path) -> IO[bytes] | gzip.GzipFile | lzma.LZMAFile:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    return path.open("rb")
