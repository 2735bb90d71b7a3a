"""The files of a source: which a path means, and their bytes, decompressed where their names say so."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import is_there

COMPRESSED = ("", ".gz", ".xz", ".zst")
"""What may follow the ending of a file; nothing where it is plain."""

_AGAIN = "download or compress it again"


def find_files(path: Path, endings: Sequence[str]) -> list[Path]:
    """The files that a path means, sorted; none if nothing is there.

    Args:
        path: a file, whatever its name; a folder, of which all files with these endings are meant, also those in the
            folders below; or a pattern with `*`, `?`, `[...]` or `**`, of which all files are meant.
        endings: such as `.tmx`; compressed files may have one of `COMPRESSED` after it.

    Raises:
        ValueError: it is no path.
    """
    if not is_there(path):
        return _matches(path)
    if not path.is_dir():  # a pipe will do
        return [path]
    wanted = tuple(ending + packed for ending in endings for packed in COMPRESSED)
    below = (file for file in path.rglob("*") if file.name.endswith(wanted) and file.is_file())
    return sorted(file for file in below if not any(part[0] == "." for part in file.relative_to(path).parts))


def _matches(pattern: Path) -> list[Path]:
    if not any(sign in str(pattern) for sign in "*?["):
        return []
    found = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
    return sorted(file for file in found if file.is_file())


def no_files(path: Path, endings: Sequence[str]) -> str:
    """What is wrong with a path that means no file."""
    if path.is_dir():
        what = f"{path}: no file in it ends with {' or '.join(endings)}"
    else:
        what = f"no such file or folder: {path}"
    return f"{what}; give a file, a folder or a pattern such as {path.parent / '*'}{endings[0]}"


def named_files(path: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The files that a path means, by the names that counts and origins have: below the folder that all are in.

    Raises:
        CorpusError: there are none.
    """
    files = find_files(path, endings)
    if not files:
        raise CorpusError(no_files(path, endings))
    common = os.path.commonpath([file.parent for file in files])
    return {file.relative_to(common).as_posix(): file for file in files}


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The decompressed file; what goes wrong while it is open becomes a `CorpusError`.

    `.gz`, `.xz` and `.zst` are decompressed. `de-en.txt.zip/Books.de-en.de` is a member of an archive.
    """
    openers: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".zst": _open_zst}
    try:
        archive = archive_of(path)
        opener = _open_member if archive else openers.get(path.suffix, open)
        with opener(path, "rb") as file:
            yield file
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: damaged or not compressed as its name says: {error}; {_AGAIN}") from None
    except (NotImplementedError, RuntimeError) as error:
        if not archive_of(path):
            raise
        raise CorpusError(f"{path}: can't be unpacked: {error}; unpack the archive by other means") from None
    except OSError as error:
        if error.errno is None:  # zstd says no more than that
            raise CorpusError(f"{path}: damaged or not compressed as its name says: {error}; {_AGAIN}") from None
        raise CorpusError(f"{path}: can't be read: {error.strerror or error}") from None


def archive_of(path: Path) -> Path | None:
    """The `.zip` file that a path leads into; None if it is that of a file of its own."""
    return next((one for one in path.parents if one.suffix == ".zip" and one.is_file()), None)


def is_file(path: Path) -> bool:
    """Whether there is such a file, or such a member of an archive."""
    archive = archive_of(path)
    return path.is_file() if archive is None else path.relative_to(archive).as_posix() in members(archive)


def members(archive: Path) -> list[str]:
    """The names of the files in an archive.

    Raises:
        CorpusError: it is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened_archive:
            return [one.filename for one in opened_archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise CorpusError(f"{archive}: can't be read: {error}; {_AGAIN}") from None


@contextmanager
def _open_member(path: Path, mode: str) -> Iterator[IO[bytes]]:
    archive = archive_of(path)
    assert archive is not None, "a member has an archive"
    with zipfile.ZipFile(archive) as opened_archive:
        try:
            member = opened_archive.open(path.relative_to(archive).as_posix())
        except KeyError:
            raise CorpusError(f"{archive}: has no file {path.relative_to(archive)}") from None
        with io.BufferedReader(member) as file:  # type: ignore[type-var]
            yield file


@contextmanager
def _open_zst(path: Path, mode: str) -> Iterator[IO[bytes]]:
    import pyarrow as pa

    with path.open("rb") as packed, io.BufferedReader(pa.input_stream(packed, compression="zstd")) as file:
        yield file
