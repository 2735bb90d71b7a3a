"""Files and folders that are complete or as they were before, whenever the process ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from neuronspec.core import files
from neuronspec.core.files import (
    filling_folder,
    full_disk,
    replacing,
    replacing_folder,
    scratch_folder,
    write_text,
)


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


def left_by(pid: int, folder: Path, kind: str) -> Path:
    """As a process of that number names what it hasn't finished."""
    return folder.with_name(f".{folder.name}.{files._machine()}-{pid}.{kind}")


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_killed_between_the_two_renames(tmp_path: Path, dead: int) -> None:
    """The old folder is aside and the new one not in its place: the old one is what counts until it is replaced."""
    folder = tmp_path / "data"
    for kind in ("old", "new"):
        aside = left_by(dead, folder, kind)
        aside.mkdir()
        (aside / "file").write_text(kind)
    with pytest.raises(RuntimeError), replacing_folder(folder):
        assert content(folder) == {"file": "old"}
        raise RuntimeError
    assert content(tmp_path) == {"data/file": "old"}


def test_killed_before_the_old_folder_was_removed(tmp_path: Path, dead: int) -> None:
    folder = tmp_path / "data"
    for aside in (folder, left_by(dead, folder, "old")):
        aside.mkdir()
        (aside / "file").write_text(aside.name)
    with pytest.raises(RuntimeError), replacing_folder(folder):
        raise RuntimeError
    assert content(tmp_path) == {"data/file": "data"}


def test_leftovers_of_dead_processes_are_cleared_and_nothing_else(tmp_path: Path, dead: int) -> None:
    mine = {name: name for name in (".notes.tmp", ".data.old", f".a.0123abcd-{dead}.tmp", f"a.{dead}.tmp", ".x.new")}
    running = left_by(os.getppid(), tmp_path / "results.json", "tmp")
    for name in (*mine, running.name, left_by(dead, tmp_path / "results.json", "tmp").name):
        (tmp_path / name).write_text(name)
    write_text(tmp_path / "other", "text")
    assert content(tmp_path) == mine | {running.name: running.name, "other": "text"}


def test_a_killed_process_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    left_by(child.pid, tmp_path / "results.json", "tmp").write_text("half")
    write_text(tmp_path / "other", "text")
    child.wait()
    assert content(tmp_path) == {"other": "text"}


def test_scratch_folders_of_dead_processes_are_cleared(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.parent == tmp_path and folder.is_dir()
        folder.rename(tmp_path / folder.name.replace(f"-{os.getpid()}.", f"-{dead}."))
    with scratch_folder() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("manager", [replacing, replacing_folder, filling_folder])
def test_errors_name_the_path_that_the_user_gave(
    manager: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    """The temporary name beside it is nobody's but ours."""
    path = tmp_path / ("long" * 60)
    with pytest.raises(OSError, match="File name too long") as error, manager(path) as work:
        work.write_text("text")
    assert error.value.filename == str(path)


def test_a_folder_where_a_file_is_to_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as error, replacing(tmp_path):
        raise AssertionError("no work was to be done")
    assert error.value.filename == str(tmp_path)


def test_full_disks_are_told_from_other_errors() -> None:
    assert full_disk(OSError(errno.ENOSPC, "x")) == "No space left on device"
    assert full_disk(Exception("while writing: No space left on device (os error 28)")) == "No space left on device"
    assert full_disk(OSError(errno.EACCES, "x")) is None
    assert full_disk(ValueError("28")) is None


@pytest.mark.parametrize("there", [True, False])
def test_links_stay_and_what_they_lead_to_is_replaced(tmp_path: Path, there: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file, folder, filled = elsewhere / "file", elsewhere / "folder", elsewhere / "filled"
    if there:
        file.write_text("old")
        folder.mkdir()
        (folder / "old").touch()
        filled.mkdir()
    for path in (file, folder, filled):
        (tmp_path / f"{path.name}-link").symlink_to(f"elsewhere/{path.name}")
        (tmp_path / path.name).symlink_to(f"{path.name}-link")
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
    with replacing_folder(tmp_path / "folder") as new:
        (new / "new").touch()
    with filling_folder(tmp_path / "filled") as new:
        (new / "new").touch()
    assert all((tmp_path / path.name).is_symlink() for path in (file, folder, filled))
    assert file.read_text() == "new" and not file.is_symlink()
    assert [path.name for path in folder.iterdir()] == [path.name for path in filled.iterdir()] == ["new"]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["file", "filled", "folder"]
    assert len(list(tmp_path.iterdir())) == 7
