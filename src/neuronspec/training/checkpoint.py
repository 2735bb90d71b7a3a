"""Checkpoints to resume from: complete or absent, safetensors and JSON.

`checkpoints/step-N/` holds `model.safetensors` (buffers, and the parameters that are trained, by name),
`optimizer.safetensors` (its state, see `Optimizer.tensors`) and `trainer.json` (counters, best so far, the settings
that matter, the SHA-256 of the other two). A checkpoint is written to a hidden folder, synced to the disk and renamed,
so a folder of that name is whole whatever killed the process.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from typing_extensions import TypedDict

from neuronspec.core.checksums import digest, verifies
from neuronspec.core.errors import TrainingError
from neuronspec.core.files import no_regular_file, write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import CHECKPOINT_RECORD
from neuronspec.training.parallel import like, whole
from neuronspec.training.progress_state import State

logger = logging.getLogger(__name__)

_MODEL, _OPTIMIZER = "model.safetensors", "optimizer.safetensors"
FORMAT = 1
_NAME = re.compile(r"step-(\d+)")


class DamagedCheckpoint(TrainingError):
    """A checkpoint whose files are missing, cut off or of another model."""


class Record(TypedDict):
    """`trainer.json`: the state of the training, and the settings that mattered when it was made.

    `between` says that it was made because a signal came, between the checkpoints that the settings ask for. Training
    goes on from it, but it is none of the last ones, so that the result is that of a training without the signal.
    """

    format: Literal[1]
    state: State
    matters: dict[str, Any]
    between: NotRequired[bool]
    sha256: NotRequired[dict[str, str]]


def checkpoint_folder(root: Path, update: int) -> Path:
    """The folder of the checkpoint after `update` updates."""
    return root / f"step-{update}"


def updates_saved(root: Path) -> list[int]:
    """The updates that have a checkpoint in `root`, ascending."""
    if not root.is_dir():
        return []
    return sorted(int(match[1]) for item in root.iterdir() if (match := _NAME.fullmatch(item.name)))


def model_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and saved buffers by name; tied parameters once."""
    kept = model.state_dict()
    buffers = {name: value for name, value in model.named_buffers() if name in kept}
    return {name: value.detach() for name, value in model.named_parameters()} | buffers


def changing_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Those of `model_tensors` that training changes: without parameters that are frozen."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model_tensors(model).items() if name not in frozen}


@dataclass(frozen=True, slots=True)
class Tensors:
    """What a checkpoint holds beside its record.

    Args:
        model: what changes of it, by name.
        optimizer: the optimizer's state by name.
    """

    model: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Mapping[str, torch.Tensor], wanted: bool) -> Tensors:
        """The full tensors of what may be sharded over processes: all must ask for them.

        Args:
            model: that is trained.
            optimizer: the optimizer's state by name.
            wanted: whether this process writes them; the others drop each as soon as it is gathered.
        """
        return cls(whole_tensors(changing_tensors(model), wanted), whole_tensors(optimizer, wanted))


def whole_tensors(tensors: Mapping[str, torch.Tensor], wanted: bool) -> dict[str, torch.Tensor]:
    """The full tensors of sharded ones, on the CPU, and others as they are; nothing if not `wanted`."""
    full: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        gathered = whole(value)
        if wanted:
            full[name] = value if gathered is value else gathered.cpu()
    return full


def save_checkpoint(root: Path, update: int, tensors: Tensors, record: Mapping[str, Any]) -> Path:
    """Write the checkpoint after `update` updates. If it is there already, only its `record` is replaced.

    Args:
        root: folder of all checkpoints.
        update: number of the update.
        tensors: of model and optimizer.
        record: plain JSON values.

    Returns:
        The checkpoint's folder.

    Raises:
        TrainingError: it can't be written (disk full, no permission); earlier checkpoints are untouched.
    """
    content = {"format": FORMAT, **record}
    final = checkpoint_folder(root, update)
    temporary = root / f".{final.name}.tmp"
    try:
        if final.is_dir():
            sums = read_record(root, update).get("sha256")
            write_json(final / CHECKPOINT_RECORD, content | ({"sha256": sums} if sums else {}))
        else:
            temporary.mkdir(parents=True)
            write_tensors(temporary / _MODEL, tensors.model)
            write_tensors(temporary / _OPTIMIZER, tensors.optimizer)
            with ThreadPoolExecutor() as pool:  # while the disk is waited for
                digests = pool.map(digest, (temporary / _MODEL, temporary / _OPTIMIZER))
                for name in (_MODEL, _OPTIMIZER):
                    _sync(temporary / name)
            sums = dict(zip((_MODEL, _OPTIMIZER), digests, strict=True))
            write_json(temporary / CHECKPOINT_RECORD, content | {"sha256": sums})
            _sync(temporary / CHECKPOINT_RECORD)
            _sync(temporary)
            temporary.rename(final)
        _sync(root)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        kept = updates_saved(root)
        raise TrainingError(
            f"the checkpoint {final} can't be written: {error}; "
            + (f"the one of update {kept[-1]} is whole. " if kept else "there is no earlier one. ")
            + "Make room on the disk and run again to resume there"
        ) from error
    logger.debug("saved %s", final)
    return final


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        OSError, SafetensorError: it can't be written.
    """
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_record(root: Path, update: int) -> Record:
    """The `record` of a checkpoint.

    Raises:
        DamagedCheckpoint: it is missing, cut off or of another format.
    """
    folder = checkpoint_folder(root, update)
    return read_json(
        folder / CHECKPOINT_RECORD, Record, f"remove {folder} to resume before it", error=DamagedCheckpoint
    )


def read_optimizer(root: Path, update: int) -> dict[str, torch.Tensor]:
    """The optimizer's state, by name.

    Raises:
        DamagedCheckpoint: its file is missing or cut off.
    """
    return _read_tensors(checkpoint_folder(root, update) / _OPTIMIZER)


def is_whole(root: Path, update: int) -> bool:
    """Whether all of a checkpoint can be read."""
    folder = checkpoint_folder(root, update)
    try:
        read_record(root, update)
        for name in (_MODEL, _OPTIMIZER):
            _read_tensors(folder / name)
    except DamagedCheckpoint:
        return False
    return True


def unreadable(root: Path, newest: int) -> list[int]:
    """The updates before `newest` with a checkpoint whose record can't be read."""
    found = []
    for update in (each for each in updates_saved(root) if each < newest):
        try:
            read_record(root, update)
        except DamagedCheckpoint as error:
            logger.warning("%s", error)
            found.append(update)
    return found


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    recorded = read_record(path.parents[1], int(path.parent.name.removeprefix("step-"))).get("sha256", {})
    if reason := no_regular_file(path):
        raise DamagedCheckpoint(f"{path} can't be read: {reason}")
    try:
        if verifies() and path.name in recorded and digest(path) != recorded[path.name]:
            raise DamagedCheckpoint(f"{path} is damaged: its content changed; remove {path.parent} to resume before it")
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} is damaged: {error}") from None


def restore_model(model: nn.Module, root: Path, update: int) -> None:
    """Copy a checkpoint's weights into `model`; what is frozen in it stays as it is.

    Raises:
        DamagedCheckpoint: the file is damaged, or its names or shapes aren't the model's.
    """
    _fill_model(model, _read_model(model, root, update))


def _read_model(model: nn.Module, root: Path, update: int) -> dict[str, torch.Tensor]:
    """A checkpoint's weights, of which `model` lacks none and which lacks none that are trained in `model`."""
    path = checkpoint_folder(root, update) / _MODEL
    saved, own = _read_tensors(path), model_tensors(model)
    wrong = [name for name in changing_tensors(model) if name not in saved]
    wrong += [name for name in saved if name not in own or saved[name].shape != own[name].shape]
    if wrong:
        raise DamagedCheckpoint(f"{path} doesn't fit the model: {min(wrong)} is missing or has another shape")
    return saved


@torch.no_grad()
def _fill_model(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy full tensors into the parameters and buffers of `model`, which may be sharded."""
    for name, value in changing_tensors(model).items():
        value.copy_(like(tensors[name].to(value.dtype), value))


def tidy(root: Path) -> None:
    """Remove what a killed process left half-written or half-removed."""
    if root.is_dir():
        for item in root.glob(".step-*"):
            shutil.rmtree(item, ignore_errors=True)


def last_updates(root: Path, count: int) -> list[int]:
    """The last updates that have a checkpoint which the settings asked for, ascending.

    Raises:
        DamagedCheckpoint: a record can't be read.
    """
    return _last({update: read_record(root, update) for update in updates_saved(root)}, count)


def _last(records: Mapping[int, Record], count: int) -> list[int]:
    return [update for update, record in records.items() if not record.get("between")][-count:]


def keep_last(root: Path, count: int) -> None:
    """Remove all checkpoints but the newest, the last that the settings asked for, and the best ones of these.

    Raises:
        DamagedCheckpoint: a record can't be read.
    """
    records = {update: read_record(root, update) for update in updates_saved(root)}
    kept = {*_last(records, count), *list(records)[-1:]}
    best = {records[update]["state"].best_update for update in kept}
    for update in records.keys() - kept - best:
        aside = root / f".step-{update}.old"
        checkpoint_folder(root, update).rename(aside)
        shutil.rmtree(aside)


def set_aside(root: Path, update: int) -> Path:
    """Rename a damaged checkpoint, so that it isn't read again; returns its new place."""
    aside = root / f"damaged-{update}"
    shutil.rmtree(aside, ignore_errors=True)
    return checkpoint_folder(root, update).rename(aside)


@torch.no_grad()
def average_checkpoints(model: nn.Module, root: Path, updates: Sequence[int]) -> None:
    """Give `model` the mean of the weights of several checkpoints, summed in float64.

    Source: Vaswani et al. (2017), section 6.1.

    Args:
        model: gets the mean; may be sharded.
        root: folder of all checkpoints.
        updates: whose checkpoints are averaged.

    Raises:
        DamagedCheckpoint: a file is damaged, or its names or shapes aren't the model's.
    """
    sums: dict[str, torch.Tensor] = {}
    for update in updates:
        for name, value in _read_model(model, root, update).items():
            sums[name] = sums[name] + value.double() if name in sums else value.double()
    _fill_model(model, {name: value / len(updates) for name, value in sums.items()})
