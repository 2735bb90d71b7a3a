"""Weights that are kept as what differs from a base, such as those of an arm that trained its FFNs alone.

The folder has `model-changed.safetensors` (the tensors that differ, if any does), `neuronspec_base.json` (where the
base is, relative to the folder, and the SHA-256 of its weights), and the index of a sharded checkpoint, which names the
files of the base, too. `transformers` reads the files of an index in the order of their names and takes the last of two
tensors of one name, so `from_pretrained` opens the folder as it opens any other. A file `model.safetensors` comes first
for `transformers`: where there is one the weights are whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from neuronspec.core.checksums import FileFacts, FileName
from neuronspec.core.errors import ModelError, reason_of
from neuronspec.core.files import replacing, write_json
from neuronspec.core.json_files import read_json

BASE_FILE = "neuronspec_base.json"
CHANGED_FILE = "model-changed.safetensors"
INDEX_FILE = "model.safetensors.index.json"
WHOLE_FILE = "model.safetensors"
WEIGHT_FILES = "model*.safetensors"
"""The pattern of all files with weights in a folder."""

_REMEDY = "copy the folder again, or make it again"


class BaseReference(BaseModel):
    """`neuronspec_base.json`: the folder of the base, relative to the folder of the file, and its files of weights."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["neuronspec.base"] = "neuronspec.base"
    version: Literal[1] = 1
    folder: str
    files: dict[FileName, FileFacts]


class _Index(BaseModel):
    weight_map: dict[str, str]


def base_of(folder: Path) -> BaseReference | None:
    """The base that the weights in a folder are kept beside; None where they are whole.

    Raises:
        ModelError: `neuronspec_base.json` is damaged.
    """
    path = folder / BASE_FILE
    if not path.is_file() or (folder / WHOLE_FILE).is_file():
        return None
    return read_json(path, BaseReference, _REMEDY, error=ModelError)


def check_base(folder: Path) -> None:
    """Check that the base of a folder is there and as it was; of a folder with whole weights there is nothing to check.

    Raises:
        ModelError: a file of the base is missing or changed, or the index names other files.
    """
    reference = base_of(folder)
    if reference is None:
        return
    base = _path_of(folder, reference)
    for name, facts in reference.files.items():
        if problem := facts.problem(base / name):
            raise ModelError(
                f"{folder} holds only the weights that differ from those of {base}, and {base / name} {problem}; put "
                "the base back there as it was, or remove the folder and train it again"
            )
    known = {_in_index(reference, name) for name in reference.files}
    for name in set(read_json(folder / INDEX_FILE, _Index, _REMEDY, error=ModelError).weight_map.values()):
        if name not in known | {CHANGED_FILE}:
            raise ModelError(f"{folder / INDEX_FILE} is damaged: {name} is no file of the base; {_REMEDY}")
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} is missing, and {INDEX_FILE} names it; {_REMEDY}")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, those of its base first; none where there are no such files.

    Raises:
        ModelError: `neuronspec_base.json` is damaged.
    """
    if not folder.is_dir():
        return []
    reference = base_of(folder)
    others = [_path_of(folder, reference) / name for name in sorted(reference.files)] if reference else []
    return others + sorted(folder.glob(WEIGHT_FILES))


def keep_changes(folder: Path, base: Path) -> None:
    """Replace the weights in a folder by those that differ from a base, where they are less than half of the bytes.

    Args:
        folder: with whole weights that were just written.
        base: a model folder; must stay where it is, as seen from `folder`, and as it is.

    Raises:
        ModelError: the files can't be read or written; the whole weights are still there.
    """
    try:
        _keep_changes(folder, base)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights in {folder} can't be compared with {base}: {reason_of(error)}") from error


def _keep_changes(folder: Path, base: Path) -> None:
    whole = [path for path in sorted(folder.glob(WEIGHT_FILES)) if path.name != CHANGED_FILE]
    if not whole:
        return
    if (folder / BASE_FILE).is_file():  # of weights that were here before
        for name in (BASE_FILE, CHANGED_FILE, *([INDEX_FILE] if (folder / WHOLE_FILE).is_file() else [])):
            (folder / name).unlink(missing_ok=True)
    given = sorted(base.glob(WEIGHT_FILES))
    with ExitStack() as stack:
        own, before = _tensors(stack, whole), _tensors(stack, given)
        if own.keys() != before.keys() or base_of(base) is not None:
            return
        total, size, changed = 0, 0, {}
        for name, file in own.items():
            tensor = file.get_tensor(name)
            total += tensor.nbytes
            if not _same(tensor, before[name].get_tensor(name)):
                size += tensor.nbytes
                changed[name] = tensor
        if 2 * size >= total:
            return
        reference = BaseReference(
            folder=Path(os.path.relpath(base, folder)).as_posix(),
            files={path.name: FileFacts.of(path) for path in given},
        )
        homes = {name: _in_index(reference, path.name) for path in given for name in _tensors(stack, [path])}
        if changed:
            with replacing(folder / CHANGED_FILE) as temporary:
                save_file(changed, temporary, metadata={"format": "pt"})
    index = {"metadata": {"total_size": total}, "weight_map": homes | dict.fromkeys(changed, CHANGED_FILE)}
    write_json(folder / INDEX_FILE, index)
    write_json(folder / BASE_FILE, reference.model_dump())
    for path in whole:
        path.unlink()


def write_whole(folder: Path, path: Path) -> None:
    """Write the weights of a folder and its base into one safetensors file.

    Raises:
        ModelError: the base isn't there or isn't as it was, or a file can't be read or written.
    """
    check_base(folder)
    try:
        with ExitStack() as stack:
            found = _tensors(stack, weight_files(folder))
            save_file({name: file.get_tensor(name) for name, file in found.items()}, path, metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights of {folder} can't be written as a whole: {reason_of(error)}") from error


def _tensors(stack: ExitStack, files: list[Path]) -> Mapping[str, Any]:
    """By name of a tensor, the open file that has it; of several the last one."""
    found: dict[str, Any] = {}
    for path in files:
        file = stack.enter_context(safe_open(path, "pt"))
        found.update(dict.fromkeys(file.keys(), file))
    return found


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are equal bit by bit, NaN and the sign of zero too."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))


def _path_of(folder: Path, reference: BaseReference) -> Path:
    """The folder of the base. Where `folder` is a link, its base is the one beside what it leads to."""
    return (folder / reference.folder).resolve()


def _in_index(reference: BaseReference, name: str) -> str:
    return str(PurePosixPath(reference.folder) / name)
