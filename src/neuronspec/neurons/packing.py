"""The file of masks: one bit per neuron.

A safetensors file of format `neuronspec.masks`. Header: `directions`, `sites` (pairs of name and width) and
the fields of `MaskInfo`. Two tensors per site:

- `masks/SITE` uint8 `[distinct masks, ceil(width / 8)]`: neuron i is bit i % 8 (the lowest is 0) of byte i // 8;
  the bits past the width are 0;
- `rows/SITE` int32 `[directions]`: the row that holds a direction's mask, so equal masks are stored once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from neuronspec.core.registry import OneOf
from neuronspec.core.tensor_files import Header, damaged, read_tensors, write_tensors
from neuronspec.neurons.settings import Granularity
from neuronspec.specialization.registry import SEMANTICS

FORMAT_VERSION = 1


class MaskInfo(Header):
    """Where masks come from. Every field may be unknown (None).

    Args:
        criterion: the criterion they were selected by, as text.
        coverage: k of `CumulativeActivation`, one number or by side.
        granularity: what the activations were pooled by before selecting.
        semantics: how a model was trained with them.
        fingerprint: of the model that was recorded; see `model_fingerprint`.
        composed: zero-shot directions with the directions that their encoder and decoder masks come from.
    """

    criterion: str | None = None
    coverage: float | dict[str, float] | None = None
    granularity: Granularity | None = None
    semantics: Annotated[str, OneOf(SEMANTICS)] | None = None
    fingerprint: str | None = None
    composed: dict[str, tuple[str, str]] = Field({})


class _FileHeader(MaskInfo):
    directions: tuple[str, ...]
    sites: tuple[tuple[str, int], ...]


def pack(mask: torch.Tensor) -> np.ndarray:
    """The bits of a BoolTensor `[width]` as uint8 `[ceil(width / 8)]`, the lowest bit first."""
    return np.packbits(mask.numpy(), bitorder="little")


def write_masks(
    path: str | Path,
    masks: Mapping[str, Mapping[str, torch.Tensor]],
    widths: Mapping[str, int],
    info: MaskInfo,
) -> None:
    """Write masks by direction and site; `path` is complete or as it was before.

    Raises:
        MaskError: the file can't be written.
    """
    tensors = {}
    for site in widths:
        packed = np.stack([pack(sites[site]) for sites in masks.values()])
        distinct, rows = np.unique(packed, axis=0, return_inverse=True)
        tensors[f"masks/{site}"] = torch.from_numpy(distinct)
        tensors[f"rows/{site}"] = torch.from_numpy(rows.reshape(-1).astype(np.int32))
    header = _FileHeader(directions=tuple(masks), sites=tuple(widths.items()), **dict(info))
    write_tensors(path, "masks", FORMAT_VERSION, header, tensors)


def read_masks(path: str | Path) -> tuple[dict[str, dict[str, torch.Tensor]], MaskInfo]:
    """The masks by direction and site, and the info, of a file that `write_masks` wrote.

    Raises:
        MaskError: there is no such file, it is damaged, something else, or of a newer version.
    """
    header, tensors = read_tensors(path, "masks", FORMAT_VERSION, _FileHeader)
    masks: dict[str, dict[str, torch.Tensor]] = {direction: {} for direction in header.directions}
    for site, width in header.sites:
        packed, rows = _checked(path, site, width, len(header.directions), tensors)
        distinct = torch.from_numpy(np.unpackbits(packed, axis=1, count=width, bitorder="little").astype(bool))
        for direction, row in zip(header.directions, rows, strict=True):
            masks[direction][site] = distinct[int(row)]
    return masks, MaskInfo(**header.model_dump(include=set(MaskInfo.model_fields)))


def _checked(
    path: str | Path, site: str, width: int, directions: int, tensors: Mapping[str, torch.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    try:
        packed, rows = tensors[f"masks/{site}"], tensors[f"rows/{site}"]
    except KeyError as error:
        raise damaged(path, "masks", f"tensor {error} is missing") from None
    if packed.dtype != torch.uint8 or packed.dim() != 2 or packed.shape[1] != -(-width // 8):
        raise damaged(path, "masks", f"masks/{site} is {packed.dtype} {list(packed.shape)} for {width} neurons")
    if rows.shape != (directions,) or not ((rows >= 0) & (rows < len(packed))).all():
        raise damaged(path, "masks", f"rows/{site} doesn't name a mask for each of {directions} directions")
    return packed.numpy(), rows.numpy()
