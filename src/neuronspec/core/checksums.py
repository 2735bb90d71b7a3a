"""SHA-256 of stored files: recorded where they are made, checked where they are read.

A run records them in `RUN/stages.json`, an exported folder in `neuronspec.json`, the token store in its manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from neuronspec.core.errors import RunError
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import CHECKPOINTS, TRAINING_LOG, RunFolder

NO_VERIFY = "NEURONSPEC_NO_VERIFY"
"""The environment variable that tells child processes to check nothing."""

LARGE = 1 << 20
"""Bytes from which a file is read once in a process, as long as it stays as it is on the disk."""

_known: dict[tuple[int, ...], str] = {}


def _stays_below(name: str) -> str:
    """Refuse the name of a file that isn't below the folder it belongs to."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"{name!r} is no file in the folder")
    return name


FileName = Annotated[str, AfterValidator(_stays_below)]
"""The path of a recorded file, relative to its folder, which it doesn't leave."""


class FileFacts(BaseModel):
    """Size and SHA-256 of a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileFacts:
        """The facts of a file.

        Raises:
            OSError: it can't be read.
        """
        return cls(bytes=path.stat().st_size, sha256=digest(path))

    def problem(self, path: Path) -> str | None:
        """What is wrong with a file that should have these facts, as the end of a sentence; None if nothing is.

        Without verification only a missing file is wrong.
        """
        if not path.is_file():
            return "is a folder" if path.is_dir() else "is missing"
        if not verifies():
            return None
        size = path.stat().st_size
        if size != self.bytes:
            return f"is damaged: it has {size:,} bytes instead of {self.bytes:,}"
        try:
            return None if digest(path) == self.sha256 else "is damaged: its content changed"
        except OSError as error:
            return f"can't be read ({error.strerror})"


def digest(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if key not in _known:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if state.st_size < LARGE:
                return found
            _known[key] = found
        return _known[key]


def skip_verification() -> None:
    """Check nothing from now on, in this process and those that it starts."""
    os.environ[NO_VERIFY] = "1"


def verifies() -> bool:
    """Whether files are checked."""
    return not os.environ.get(NO_VERIFY)


def facts_below(folder: Path, outputs: Iterable[str]) -> dict[str, FileFacts]:
    """The facts of all files in some outputs of a run, by path relative to the run folder.

    Training logs and checkpoints are left out: later parts of a training add to them.

    Args:
        folder: of the run.
        outputs: files and folders, relative to it.
    """
    return {path.relative_to(folder).as_posix(): FileFacts.of(path) for path in _files(folder, outputs)}


def _files(folder: Path, outputs: Iterable[str]) -> Iterator[Path]:
    for output in outputs:
        place = folder / output
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            parts = path.relative_to(folder).parts
            kept = path.name != TRAINING_LOG and not any(part == CHECKPOINTS or part[0] == "." for part in parts)
            if kept and path.is_file():
                yield path


def first_problem(folder: Path, facts: Mapping[str, FileFacts]) -> str | None:
    """The first file that isn't what was recorded, and what is wrong with it; None if all are."""
    for name, recorded in facts.items():
        if problem := recorded.problem(folder / name):
            return f"{name} {problem}"
    return None


def verify(path: Path) -> None:
    """Check a file or folder of a run against what its run recorded; what is in no run isn't checked.

    Raises:
        RunError: a file is missing or isn't what was made.
    """
    found = _recorded(path) if verifies() else None
    if found is None:
        return
    folder, below, facts = found
    for name, recorded in facts.items():
        if problem := recorded.problem(folder / name):
            shown = path if name == below else path / os.path.relpath(name, below)
            run = RunFolder(_as_given(path, below) or folder)
            raise RunError(
                f"{shown} {problem}; 'neuronspec run {run.recipe} --out {run.folder}' makes it again "
                "(--no-verify reads it as it is)"
            )


def _as_given(path: Path, below: str) -> Path | None:
    """The run folder as it is written in a path to `below` in it; None if it isn't."""
    parts, inside = path.parts, Path(below).parts
    return Path(*parts[: len(parts) - len(inside)]) if parts[len(parts) - len(inside) :] == inside else None


def _recorded(path: Path) -> tuple[Path, str, dict[str, FileFacts]] | None:
    """The run that a path is in, the path relative to it, and the facts of the files there."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would leave the run where outputs are links)
    for folder in (whole, *whole.parents):
        run = RunFolder(folder)
        if run.exists and run.stages.is_file():
            state = run.stages.stat()
            below = whole.relative_to(folder).as_posix()
            facts = _facts_in(run.stages, state.st_ino, state.st_mtime_ns, state.st_size)
            if below in facts:
                return folder, below, {below: facts[below]}
            return folder, below, {name: each for name, each in facts.items() if _is_in(name, below)}
    return None


def _is_in(name: str, folder: str) -> bool:
    return folder == "." or name.startswith(f"{folder}/")


class _Entry(BaseModel):
    files: dict[FileName, FileFacts] = {}


class _Stages(BaseModel):
    tasks: dict[str, _Entry]


@lru_cache(maxsize=8)
def _facts_in(stages: Path, *state: int) -> dict[str, FileFacts]:
    """All facts in a `stages.json`, which is read again when it changed."""
    remedy = "delete it to run all stages again (--no-verify reads what is there as it is)"
    content = read_json(stages, _Stages, remedy)
    return {name: facts for entry in content.tasks.values() for name, facts in entry.files.items()}
