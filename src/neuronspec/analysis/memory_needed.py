"""How much memory the analysis of a model takes, told before its weights are read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from neuronspec.core.errors import RecipeError
from neuronspec.models.batch import Batch
from neuronspec.models.footprint import Room, main_memory, readable_size, room
from neuronspec.models.load import DeviceMap
from neuronspec.models.sites import find_ffn_sites, in_width
from neuronspec.training.loss import projects_rows

logger = logging.getLogger(__name__)

PARTS = 4
"""Parts that the text is recorded in, to see whether their masks are alike."""

_SUMS = 16
"""Bytes that a recording has for a neuron and a direction: a count and a magnitude."""

_AS_WIDE_AS_MODEL, _AS_WIDE_AS_FFN = 8, 4
"""Numbers per token that a layer holds at a time while it computes, as wide as the model and as wide as its FFN."""


@dataclass(frozen=True, slots=True)
class MemoryNeeded:
    """What the analysis of a model takes, in bytes.

    Args:
        weights: of the model, in their dtype.
        recorded: counts and magnitudes of all neurons in every direction or language.
        batch: what the largest batch takes while it is computed, about.
        dtype: of the weights.
        parameters: of the model.
    """

    weights: int
    recorded: int
    batch: int
    dtype: str
    parameters: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.recorded + self.batch

    def __str__(self) -> str:
        return (
            f"the analysis needs about {readable_size(self.total)} of memory: {readable_size(self.weights)} for "
            f"{self.parameters / 1e6:,.0f} million parameters in {self.dtype}, {readable_size(self.recorded)} for what "
            f"is recorded, {readable_size(self.batch)} for a batch"
        )


def memory_of(outline: Any, batches: Mapping[str, Sequence[Batch]]) -> MemoryNeeded:
    """Add up what the analysis of a model takes.

    Args:
        outline: the model without its weights; see `outline_model`.
        batches: by direction or language, all that is recorded.

    Raises:
        ModelError: its FFN sites aren't known.
    """
    sites, dtype = find_ffn_sites(outline), outline.dtype
    exact = getattr(outline, "_keep_in_fp32_modules", None) or () if dtype == torch.float16 else ()
    weights = 0
    for name, tensor in [*outline.named_parameters(), *outline.named_buffers()]:
        wide = any(part in exact for part in name.split("."))
        weights += tensor.numel() * (4 if wide else tensor.element_size())
    neurons = sum(site.width for site in sites)
    recorded = neurons * len(batches) * _SUMS * (PARTS + 2)  # the parts, their sum, and the sums while they are made
    head = outline.get_output_embeddings()
    vocabulary = len(head.weight) if head is not None and not projects_rows(outline) else 0
    widths = _AS_WIDE_AS_MODEL * (in_width(sites[0].ups[0]) or 0) + _AS_WIDE_AS_FFN * max(site.width for site in sites)
    tokens = max((_tokens(batch) for part in batches.values() for batch in part), default=0)
    batch = tokens * (widths * max(dtype.itemsize, 4) + vocabulary * (dtype.itemsize + 4))
    return MemoryNeeded(weights, recorded, batch, str(dtype).removeprefix("torch."), outline.num_parameters())


def check_memory(needed: MemoryNeeded, device_map: DeviceMap | None, found: Room | None = None) -> None:
    """Tell what is needed, and compare it with what there is.

    Args:
        needed: see `memory_of`.
        device_map: of `load_model`.
        found: the memory; that of this machine without it.

    Raises:
        RecipeError: the weights alone are more than the device has, and nothing spreads them.
    """
    found = found or (room() if device_map is None else _everywhere())
    logger.info("%s; %s has %s free", needed, found.where, readable_size(found.free))
    if device_map is None and needed.weights > found.total:
        raise RecipeError(
            f"{needed}; {found.where} has {readable_size(found.total)}. --dtype bfloat16 halves weights of float32; "
            "--device-map auto puts layers on all GPUs, in main memory and on the disk"
        )
    if needed.total > found.free:
        slow = "layers will be read from the disk again and again" if device_map is not None else "it may not fit"
        logger.warning("%s, and %s has %s free: %s", needed, found.where, readable_size(found.free), slow)


def _everywhere() -> Room:
    """The memory of all GPUs and of the machine."""
    memory = main_memory()
    gpus = [torch.cuda.mem_get_info(index) for index in range(torch.cuda.device_count())]
    if not gpus:
        return memory
    free, total = (sum(sizes) for sizes in zip(*gpus, strict=True))
    where = f"the machine with its {len(gpus)} GPU{'s' * (len(gpus) > 1)}"
    return Room(where, memory.total + total, memory.free + free)


def _tokens(batch: Batch) -> int:
    """Positions of a batch, with padding, on its longer side."""
    sides = (batch.inputs.get(name) for name in ("input_ids", "decoder_input_ids", "labels"))
    return max(side.numel() for side in sides if side is not None)
