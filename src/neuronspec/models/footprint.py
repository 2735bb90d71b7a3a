"""How much memory a recipe's model takes in training, and how much there is; no model is built for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings

_FLOAT = 4
"""Bytes of a weight, a gradient or an activation; training keeps them in float32."""

_GPU_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))
"""One of them is there where a GPU may be; then torch, which takes seconds to import, is asked."""

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Room:
    """Memory that models can be trained in.

    Args:
        where: what has it.
        total: bytes.
        free: bytes that nothing uses.
    """

    where: str
    total: int
    free: int


def count_parameters(settings: ModelSettings, vocabulary: int) -> int:
    """Parameters of the model that `build_model` makes.

    Args:
        settings: preset and fields.
        vocabulary: its size, with tags; all embeddings are one tensor.
    """
    fields = PRESETS.get(settings.preset) | settings.overrides
    width = fields["d_model"]
    attention, norm = 4 * (width * width + width), 2 * width
    count = vocabulary * width + 2 * norm  # a norm ends the encoder, another the decoder
    for part, attentions in (("encoder", 1), ("decoder", 2)):
        ffn = fields[f"{part}_ffn_dim"]
        layer = attentions * (attention + norm) + 2 * width * ffn + ffn + width + norm
        count += fields[f"{part}_layers"] * layer
    return count


def activation_bytes(settings: ModelSettings, tokens: int, *, checkpointing: bool = False) -> int:
    """An allowance for what a forward pass keeps for the backward pass.

    Per token an encoder layer keeps about 12 numbers as wide as the model and one as wide as its FFN, a decoder layer
    20 and one; with checkpointing a layer keeps 2, and one layer at a time is computed again. What PyTorch keeps for
    models of the presets is within a quarter of that; the attention of long sentences comes on top.

    Args:
        settings: preset and fields.
        tokens: in a micro-batch, on each side.
        checkpointing: whether activations are computed again in the backward pass.
    """
    fields = PRESETS.get(settings.preset) | settings.overrides
    width, layers = fields["d_model"], fields["encoder_layers"] + fields["decoder_layers"]
    kept = {part: numbers * width + fields[f"{part}_ffn_dim"] for part, numbers in (("encoder", 12), ("decoder", 20))}
    if checkpointing:
        return _FLOAT * tokens * (layers * 2 * width + max(kept.values()))
    return _FLOAT * tokens * sum(fields[f"{part}_layers"] * numbers for part, numbers in kept.items())


def room() -> Room:
    """The memory of the device that models are trained on."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")
    if not hidden and any(driver.exists() for driver in _GPU_DRIVERS):
        import torch

        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            return Room(f"the GPU ({torch.cuda.get_device_name()})", total, free)
    return main_memory()


def main_memory(cgroup: Path = _CGROUP) -> Room:
    """The memory of the machine, or of the container where that is less.

    Args:
        cgroup: where the kernel describes the container.
    """
    import psutil

    memory = psutil.virtual_memory()
    limit = _number(cgroup / "memory.max")
    if limit is None or limit >= memory.total:
        return Room("the machine", memory.total, memory.available)
    used = _number(cgroup / "memory.current") or 0
    cached = _number(cgroup / "memory.stat", "inactive_file") or 0
    return Room("the container", limit, max(0, min(memory.available, limit - used + cached)))


def _number(path: Path, name: str = "") -> int | None:
    """The number in a file of the kernel, or the one after a name; None if there is none, such as for `max`."""
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    places = [words.index(name) + 1] if name in words else [] if name else [0]
    found = words[places[0]] if places and places[0] < len(words) else ""
    return int(found) if found.isdigit() else None
