"""The container of activation and mask files: safetensors with three entries of metadata.

`format` is `neuronspec.activations` or `neuronspec.masks`, `version` an integer, `header` a JSON object (its
keys are the fields of the header class of that format). What the tensors are is written down where each
format is written: `Activations.save`, `NeuronMasks.save`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError, safe_open

from neuronspec.core.checksums import verify
from neuronspec.core.errors import MaskError
from neuronspec.core.files import no_regular_file, replacing
from neuronspec.core.json_files import parse_json

if TYPE_CHECKING:
    import torch


class Header(BaseModel):
    """The base of file headers: unknown or missing keys mean a damaged file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


HeaderType = TypeVar("HeaderType", bound=Header)


def write_tensors(
    path: str | Path, kind: str, version: int, header: Header, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write a file of our own; `path` is complete or as it was before.

    Raises:
        MaskError: the file can't be written (folder missing, no permission, disk full).
    """
    from safetensors.torch import save_file

    metadata = {"format": f"neuronspec.{kind}", "version": str(version), "header": header.model_dump_json()}
    try:
        with replacing(Path(path)) as temporary:
            save_file(dict(tensors), temporary, metadata=metadata)
            _sort_metadata(temporary)
    except (OSError, SafetensorError) as error:
        raise MaskError(f"{path}: the {kind} could not be written: {error}") from None


def _sort_metadata(path: Path) -> None:
    """Put the metadata in alphabetical order, so that equal content is equal: safetensors writes it in a random one."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = parse_json(file.read(size), dict[str, Any])
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def read_tensors(
    path: str | Path, kind: str, version: int, header_type: type[HeaderType]
) -> tuple[HeaderType, dict[str, torch.Tensor]]:
    """The header and tensors of a file that `write_tensors` wrote, on the CPU.

    Raises:
        MaskError: there is no such file, it is damaged or cut short, holds something else, or was written by a
            newer version than `version`.
        RunError: it isn't what its run made.
    """
    verify(Path(path))
    if Path(path).exists() and (reason := no_regular_file(Path(path))):
        raise MaskError(f"{path} is no file of {kind}: {reason}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata, kind, version)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise MaskError(f"{path}: no such file of {kind}") from None
    except (OSError, SafetensorError) as error:
        raise MaskError(f"{path} is damaged or not a file of {kind}: {error}") from None
    try:
        return parse_json(metadata.get("header", ""), header_type), tensors
    except ValueError as problem:
        raise damaged(path, kind, f"header: {problem}") from None


def damaged(path: str | Path, kind: str, reason: str) -> MaskError:
    """The error for a file whose parts contradict each other."""
    return MaskError(f"{path}: this file of {kind} is damaged: {reason}; make it again")


def _check_format(path: str | Path, metadata: Mapping[str, str], kind: str, version: int) -> None:
    found = metadata.get("format")
    if found != f"neuronspec.{kind}":
        described = f"its format is {found!r}" if found else "it names no format"
        raise MaskError(f"{path} is not a file of {kind}: {described}, expected 'neuronspec.{kind}'")
    text = metadata.get("version", "")
    if not text.isdecimal():
        raise damaged(path, kind, f"its version is {text!r}, expected a number")
    if int(text) > version:
        raise MaskError(
            f"{path}: written in version {text} of the {kind} format; this neuronspec reads up to {version}: upgrade it"
        )
