"""`RUN/stages.json`: what is known of every task that was started or finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from neuronspec.core.checksums import FileName
from neuronspec.core.json_files import read_json


class FileRecord(TypedDict):
    """Size and SHA-256 of a file, as `FileFacts` has them."""

    bytes: int
    sha256: str


class Made(TypedDict):
    """The files of a finished task: their facts by path, and a digest of those of each task that it read."""

    files: dict[FileName, FileRecord]
    inputs: dict[str, str]


class TaskState(TypedDict):
    """A task: the fingerprint and settings that it was started with; and, when it is finished, how it went.

    `files` and `inputs` are those of `Made`; version 0.1 had neither.
    """

    fingerprint: str
    settings: dict[str, Any]
    state: Literal["started", "finished"]
    seconds: NotRequired[float]
    finished: NotRequired[str]
    files: NotRequired[dict[FileName, FileRecord]]
    inputs: NotRequired[dict[str, str]]


class Stages(TypedDict):
    """The file: the name of the recipe, and the tasks by name."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    recipe: str
    tasks: dict[str, TaskState]


def read_stages(path: Path) -> Stages:
    """Read `RUN/stages.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    return read_json(path, Stages, "remove it, then 'neuronspec run' runs all stages again")


def checkpoint_in(tasks: Mapping[str, TaskState]) -> dict[str, Any] | None:
    """What a run recorded of the pretrained checkpoint that its baseline is made of; None without one.

    Args:
        tasks: by name, as in `Stages`.
    """
    found = tasks["train"]["settings"].get("pretrained") if "train" in tasks else None
    return found if isinstance(found, dict) else None
