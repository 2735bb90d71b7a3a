"""Files and folders that are complete or as they were before, whenever the process ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from neuronspec.core.files import filling_folder, full_disk, replacing, replacing_folder, write_text


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def kill_while_writing(manager: str, folder: Path) -> None:
    """Let another process be killed in the block of a context manager."""
    code = f"""
import os, signal
from pathlib import Path
from neuronspec.core.files import {manager}
with {manager}(Path({str(folder)!r})) as work:
    (work / "half").write_text("written")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9


def test_a_file_is_replaced_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_text(path, "one\n")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert content(tmp_path) == {"new/file": "one\n"}


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "data"
    for number in ("1", "2"):
        with replacing_folder(folder) as work:
            (work / number).write_text(number)
        assert content(tmp_path) == {f"runs/data/{number}": number}
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777


def test_a_folder_is_filled_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mine").write_text("kept")
    (folder / "weights").write_text("old")
    with filling_folder(folder) as work:
        (work / "weights").write_text("new")
        (work / "masks").write_text("new")
    assert content(tmp_path) == {"model/mine": "kept", "model/weights": "new", "model/masks": "new"}


@pytest.mark.parametrize("manager", [replacing_folder, filling_folder])
def test_an_error_leaves_a_folder_as_it_was(
    manager: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("before")
    with pytest.raises(OSError, match="No space left"), manager(tmp_path / "data") as work:
        (work / "file").write_text("after")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert content(tmp_path) == {"data/file": "before"}
    with pytest.raises(KeyboardInterrupt), manager(tmp_path / "new"):
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("manager", ["replacing_folder", "filling_folder"])
def test_what_a_killed_process_left_is_cleared_away(manager: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_text("before")
    kill_while_writing(manager, folder)
    assert content(folder) == {"file": "before"}
    assert len(list(tmp_path.iterdir())) == 2
    with filling_folder(folder) as work:
        (work / "file").write_text("after")
    assert content(tmp_path) == {"data/file": "after"}


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    """The old folder is aside and the new one not in its place: the old one is what counts until it is replaced."""
    folder, old, new = tmp_path / "data", tmp_path / ".data.old", tmp_path / ".data.new"
    for aside in (old, new):
        aside.mkdir()
        (aside / "file").write_text(aside.name)
    with pytest.raises(RuntimeError), replacing_folder(folder):
        assert content(folder) == {"file": ".data.old"}
        raise RuntimeError
    assert content(tmp_path) == {"data/file": ".data.old"}


def test_killed_before_the_old_folder_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for name in ("data", ".data.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(RuntimeError), replacing_folder(folder):
        raise RuntimeError
    assert content(tmp_path) == {"data/file": "data"}


def test_full_disks_are_told_from_other_errors() -> None:
    assert full_disk(OSError(errno.ENOSPC, "x")) == "No space left on device"
    assert full_disk(Exception("while writing: No space left on device (os error 28)")) == "No space left on device"
    assert full_disk(OSError(errno.EACCES, "x")) is None
    assert full_disk(ValueError("28")) is None
