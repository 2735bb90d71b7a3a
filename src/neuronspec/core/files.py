"""Writing files and folders so that they are complete or absent.

Where a symbolic link is written to, what it leads to is replaced, and the link stays.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` if the block succeeds, removed if not.

    The permissions of a file that is replaced stay.

    Raises:
        IsADirectoryError: `path` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    name, path = path, _behind_links(path)
    temporary = _aside(path, "tmp")
    with _named(name, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        _tidy_once(path.parent)
        try:
            yield temporary
            with contextlib.suppress(FileNotFoundError):  # there was none
                shutil.copymode(path, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write to; it takes its place if the block succeeds, and is removed if not.

    What was in `folder` before is replaced as a whole. What a killed process left is put right: of a folder that was
    about to be replaced, the old content comes back.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "data"
        >>> with replacing_folder(folder) as work:
        ...     _ = (work / "file").write_text("content")
        >>> [path.name for path in folder.iterdir()]
        ['file']
    """
    folder = _behind_links(folder)
    with _new_folder(folder) as new:
        yield new
        old = _aside(folder, "old")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def filling_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write to; its files move into `folder` if the block succeeds.

    Files of the same names are replaced, each at once; others in `folder` stay.
    """
    folder = _behind_links(folder)
    with _new_folder(folder) as new:
        yield new
        folder.mkdir(exist_ok=True)
        for path in sorted(new.iterdir()):
            path.replace(folder / path.name)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    new = _aside(folder, "new")
    with _named(folder, new):
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder.parent)
        new.mkdir()
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what isn't kept, where the system has such; those of killed processes are cleared away."""
    place = Path(tempfile.gettempdir())
    clear_leftovers(place)
    folder = Path(tempfile.mkdtemp(prefix=".neuronspec.", suffix=f".{_owner()}.new", dir=place))
    try:
        with _located(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_LEFT = re.compile(r"\.(?P<name>.+)\.(?P<machine>[0-9a-f]{8})-(?P<pid>[0-9]+)\.(?P<kind>tmp|new|old)", re.DOTALL)
_tidied: set[Path] = set()


def clear_leftovers(folder: Path) -> None:
    """Remove what killed processes of this machine left half-written in a folder; old content comes back.

    The names say which process wrote them: what a running process writes stays, and so does any other name.
    """
    for item in list(folder.iterdir()):
        found = _LEFT.fullmatch(item.name)
        if found is None or found["machine"] != _machine() or _runs(int(found["pid"])):
            continue
        with contextlib.suppress(OSError):  # another user's, or another process is clearing too
            if found["kind"] == "old" and not (folder / found["name"]).exists():
                item.rename(folder / found["name"])  # killed between the two renames of `replacing_folder`
            elif item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()


def _tidy_once(folder: Path) -> None:
    """Clear leftovers once in a process: a folder may hold many files, and get many."""
    if folder not in _tidied:
        _tidied.add(folder)
        clear_leftovers(folder)


def _behind_links(path: Path) -> Path:
    """What a symbolic link leads to, which need not be there; another path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _aside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{_owner()}.{kind}")


def _owner() -> str:
    return f"{_machine()}-{os.getpid()}"


@cache
def _machine() -> str:
    """This machine, or the container, as numbers of processes mean something in one only."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (it isn't a path)
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _runs(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    # a killed one stays as a zombie until its parent asks, and in a container without an init nobody does
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Let errors name `path`, which the user knows, and not what is written for it."""
    try:
        with _located(path):
            yield
    except OSError as error:
        name = str(error.filename or "")
        if not name.startswith(str(temporary)):
            raise
        raise type(error)(error.errno, error.strerror, str(path) + name.removeprefix(str(temporary))) from error


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Let errors of a full disk name what is written there, where they name nothing."""
    try:
        yield
    except OSError as error:
        if error.filename is None and full_disk(error):
            error.filename = str(path)
        raise


def full_disk(error: Exception) -> str | None:
    """What the system says if `error` means that there is no room to write; None if it means something else.

    Also for libraries in Rust, which raise a plain exception that ends with `(os error 28)`.
    """
    found = re.search(r"\(os error (\d+)\)$", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
    return os.strerror(number) if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else None


def no_regular_file(path: Path) -> str | None:
    """Why nothing can be read at a path, such as `it is a folder`; None if there is a regular file.

    To open something else, a pipe or a device, may never return.
    """
    if path.is_file():
        return None
    return "it is a folder" if path.is_dir() else "it is no regular file" if path.exists() else "no such file"


def write_text(path: Path, text: str) -> None:
    r"""Write UTF-8 text with `\n` line ends; `path` is complete or as it was before."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write plain JSON (no NaN); `path` is complete or as it was before."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
