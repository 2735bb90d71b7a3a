from __future__ import annotations

import os
from pathlib import Path

import pytest

from neuronspec.core import checksums
from neuronspec.core.checksums import FileFacts, digest, facts_below, verify
from neuronspec.core.errors import RunError
from neuronspec.core.files import write_json
from neuronspec.core.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has recorded a model and masks."""
    run = RunFolder(tmp_path / "run")
    for path in (run.base / "model.safetensors", run.masks, run.base / "checkpoints" / "step-1" / "model.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    run.training_log("base").write_text("{}\n")
    run.recipe.write_text("name: x\n")
    files = {name: facts.model_dump() for name, facts in facts_below(run.folder, ["base", run.masks.name]).items()}
    write_json(run.stages, {"recipe": "x", "tasks": {"train": {"files": files}, "old": {}}})
    return run


def test_what_a_training_adds_to_is_not_recorded(run: RunFolder) -> None:
    assert list(facts_below(run.folder, ["base"])) == ["base/model.safetensors"]


@pytest.mark.parametrize("path", ["base/model.safetensors", "base", "."])
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"Weights", "its content changed"), (b"weigh", "it has 5 bytes instead of 7"), (None, "is missing")],
)
def test_a_changed_file_is_told_with_what_makes_it_again(
    run: RunFolder, path: str, content: bytes | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(run.folder / path)
    changed = run.base / "model.safetensors"
    changed.unlink() if content is None else changed.write_bytes(content)
    for folder in (run.folder, Path("run")):
        monkeypatch.chdir(run.folder.parent)
        with pytest.raises(RunError, match=f"base/model.safetensors .*{message}.*neuronspec run .*--no-verify") as told:
            verify(folder / path)
        assert str(told.value).startswith(f"{folder}/base/model.safetensors ")
    verify(run.masks)
    monkeypatch.setenv(checksums.NO_VERIFY, "1")
    if content is not None:
        verify(run.folder / path)


def test_what_is_in_no_run_or_was_not_recorded_is_read_as_it_is(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    verify(tmp_path)
    verify(run.base / "checkpoints")
    verify(run.training_log("base"))
    verify(run.folder / "none")


def test_links_count_as_what_the_run_has_there(run: RunFolder, tmp_path: Path) -> None:
    """As in the cells of a sweep."""
    run.masks.rename(tmp_path / "elsewhere")
    run.masks.symlink_to(tmp_path / "elsewhere")
    verify(run.masks)
    (tmp_path / "elsewhere").write_bytes(b"Weights")
    with pytest.raises(RunError, match="content changed"):
        verify(run.masks)


def test_large_files_are_read_once_while_they_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    plain = checksums.hashlib.file_digest
    monkeypatch.setattr(checksums, "LARGE", 4)
    monkeypatch.setattr(checksums.hashlib, "file_digest", lambda *args: read.append("") or plain(*args))
    for content, times in ((b"large", 1), (b"Large", 1), (b"s", 2)):
        path = tmp_path / "file"
        path.write_bytes(content)
        read.clear()
        assert digest(path) == digest(path)
        assert len(read) == times


def test_a_file_is_read_again_when_it_changed_and_its_times_say_it_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "LARGE", 1)
    path = tmp_path / "file"
    path.write_bytes(b"one")
    state, facts = path.stat(), FileFacts.of(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert facts.problem(path) == "is damaged: its content changed"
