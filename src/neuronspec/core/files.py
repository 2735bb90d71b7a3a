"""Writing files and folders so that they are complete or absent."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` if the block succeeds, removed if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write to; it takes its place if the block succeeds, and is removed if not.

    What was in `folder` before is replaced as a whole. What a killed process left is put right: of a folder that was
    about to be replaced, the old content comes back.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "data"
        >>> with replacing_folder(folder) as work:
        ...     _ = (work / "file").write_text("content")
        >>> [path.name for path in folder.iterdir()]
        ['file']
    """
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)  # killed between the two renames below
    shutil.rmtree(old, ignore_errors=True)
    with _new_folder(folder) as new:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def filling_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write to; its files move into `folder` if the block succeeds.

    Files of the same names are replaced, each at once; others in `folder` stay.
    """
    with _new_folder(folder) as new:
        yield new
        folder.mkdir(exist_ok=True)
        for path in sorted(new.iterdir()):
            path.replace(folder / path.name)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a killed process
    new.mkdir(parents=True)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def full_disk(error: Exception) -> str | None:
    """What the system says if `error` means that there is no room to write; None if it means something else.

    Also for libraries in Rust, which raise a plain exception that ends with `(os error 28)`.
    """
    found = re.search(r"\(os error (\d+)\)$", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
    return os.strerror(number) if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else None


def write_text(path: Path, text: str) -> None:
    r"""Write UTF-8 text with `\n` line ends; `path` is complete or as it was before."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write plain JSON (no NaN); `path` is complete or as it was before."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
