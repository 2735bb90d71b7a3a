"""Masks of single weights by direction: which weights a direction's sub-network holds, one bit per weight.

`weight_masks.safetensors` is a safetensors file of format `neuronspec.weight_masks` (see `core.tensor_files`). Its
header holds the fields of `WeightMasksInfo`. A tensor `DIRECTION/PARAMETER`, uint8 `[ceil(size / 8)]`, holds the
mask of a direction and parameter in row-major order: weight i is bit i % 8 (the lowest is 0) of byte i // 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, nearest
from neuronspec.core.tensor_files import Header, damaged, read_tensors, write_tensors
from neuronspec.models.layers import find_layers
from neuronspec.models.linear import weight_of
from neuronspec.neurons.packing import pack

WEIGHT_MASKS_FILE = "weight_masks.safetensors"
FORMAT_VERSION = 1
_KIND = "weight_masks"

Packed = Mapping[str, torch.Tensor]


class WeightMasksInfo(Header):
    """What a file of weight masks says of them.

    Args:
        directions: that have masks.
        shapes: of the masked parameters, by name.
        pruning_rate: share of each parameter's weights that is left out.
        seconds: that it took to find them.
    """

    directions: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    pruning_rate: float
    seconds: float


class WeightMasks:
    """The masks of some directions, packed; `of` gives a direction's as tensors.

    Args:
        packed: by direction and parameter, uint8 `[ceil(size / 8)]`.
        info: see `WeightMasksInfo`.
    """

    def __init__(self, packed: Mapping[str, Packed], info: WeightMasksInfo) -> None:
        self._packed, self.info = dict(packed), info

    def of(self, direction: Direction, device: torch.device | str = "cpu") -> dict[str, torch.Tensor]:
        """By parameter, a BoolTensor of its shape: True where the direction uses the weight.

        Raises:
            DirectionError: the direction has no masks.
        """
        packed = self._masks_of(direction)
        return {name: unpack(bits.to(device), self.info.shapes[name]) for name, bits in packed.items()}

    def compose(self, direction: Direction, *, encoder: Direction, decoder: Direction) -> WeightMasks:
        """These masks and, for a zero-shot `direction`, the encoder's of one direction and the decoder's of another.

        Raises:
            DirectionError: one of them has no masks.
        """
        own, other = self._masks_of(encoder), self._masks_of(decoder)
        composed = {name: (own if "encoder" in name.split(".") else other)[name] for name in self.info.shapes}
        info = self.info.model_copy(update={"directions": (*self.info.directions, str(direction))})
        return WeightMasks(self._packed | {str(direction): composed}, info)

    def save(self, path: Path) -> None:
        """Write the file; it is complete or as it was before.

        Raises:
            MaskError: it can't be written.
        """
        tensors = {f"{one}/{name}": bits for one, masks in self._packed.items() for name, bits in masks.items()}
        write_tensors(path, _KIND, FORMAT_VERSION, self.info, tensors)

    @classmethod
    def load(cls, path: Path) -> WeightMasks:
        """Read a file that `save` wrote.

        Raises:
            MaskError: there is no such file, it is damaged, something else, or of a newer version.
        """
        info, tensors = read_tensors(path, _KIND, FORMAT_VERSION, WeightMasksInfo)
        packed: dict[str, dict[str, torch.Tensor]] = {one: {} for one in info.directions}
        for one, masks in packed.items():
            for name, shape in info.shapes.items():
                bits = tensors.get(f"{one}/{name}")
                if bits is None or bits.dtype != torch.uint8 or bits.shape != (-(-math.prod(shape) // 8),):
                    raise damaged(path, _KIND, f"{one}/{name} is missing or has another size than {list(shape)}")
                masks[name] = bits
        return cls(packed, info)

    def _masks_of(self, direction: Direction) -> Packed:
        if str(direction) not in self._packed:
            raise DirectionError(f"no weight masks for direction {direction}; {nearest(str(direction), self._packed)}")
        return self._packed[str(direction)]


def matrices(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of the linear layers of attention and FFNs by the name of the parameter, in the layout of the layer.

    Raises:
        ModelError: the layers of `model` aren't known.
    """
    return {
        f"{name}.weight": weight_of(module) for layer in find_layers(model) for name, module in layer.linear.items()
    }


@torch.no_grad()
def largest(weight: torch.Tensor, pruning_rate: float) -> torch.Tensor:
    """The mask that leaves out the `round(pruning_rate * size)` weights of smallest magnitude, the first of equals."""
    order = weight.abs().reshape(-1).sort(stable=True).indices
    mask = torch.ones(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order[: round(pruning_rate * weight.numel())]] = False
    return mask.reshape(weight.shape)


def packed_masks(model: nn.Module, pruning_rate: float) -> dict[str, torch.Tensor]:
    """The packed masks of all `matrices` of a model, each pruned by itself."""
    return {
        name: torch.from_numpy(pack(largest(weight, pruning_rate).reshape(-1).cpu()))
        for name, weight in matrices(model).items()
    }


def unpack(bits: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The mask of a shape from its bits, on their device."""
    places = torch.arange(8, dtype=torch.uint8, device=bits.device)
    flat = ((bits[:, None] >> places) & 1).reshape(-1)
    return flat[: math.prod(shape)].reshape(shape).bool()
