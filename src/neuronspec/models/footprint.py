"""How much memory a recipe's model takes in training, and how much there is; no model is built for that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from neuronspec.models.dimensions import Dimensions

_FLOAT = 4
"""Bytes of a weight that is trained, a gradient, or an activation in float32."""

_BYTES = {"float32": 4, "bfloat16": 2}

STATE = {"adamw": 8, "adafactor": 0, "adamw_8bit": 2}
"""Bytes that an optimizer keeps for each parameter; adafactor keeps rows and columns of matrices alone."""

_MIXED = 2.2
"""Bytes of an activation under bf16 autocast, on average: sums and norms are in float32 (measured on an H100)."""

_FEWEST_ROWS = 256

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


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is trained, as far as memory depends on it.

    Args:
        tokens: of a micro-batch, with padding, on each side.
        optimizer: its name.
        dtype: in which weights are held that aren't trained.
        trainable: `all`; `ffn` for the FFNs alone; `neurons` for some neurons of them, of which all are counted.
        rows: of the vocabulary's tables that are trained, where nothing else of the tables is.
        freeze_embeddings: whether the tables of the vocabulary aren't trained.
        checkpointing: whether activations are computed again in the backward pass.
        bf16: whether the forward pass runs in bf16.
        logits: that are held at a time; see `training.projected_loss.LOGITS_HELD`.
    """

    tokens: int
    optimizer: str = "adamw"
    dtype: str = "float32"
    trainable: str = "all"
    rows: int = 0
    freeze_embeddings: bool = False
    checkpointing: bool = False
    bf16: bool = False
    logits: int = 2**21


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a training takes, in bytes.

    Args:
        trained: parameters that are trained (a number, not bytes).
        weights: all weights.
        gradients: of what is trained.
        state: of the optimizer.
        copies: of float32 weights in bf16, during a micro-batch.
        loss: its logits, and what the gradient of the output table is made with.
        activations: what the forward pass keeps; see `activation_bytes`.
    """

    trained: int
    weights: int
    gradients: int
    state: int
    copies: int
    loss: int
    activations: int

    @property
    def fixed(self) -> int:
        """Bytes that don't depend on the size of a micro-batch: of weights, gradients and the optimizer's state."""
        return self.weights + self.gradients + self.state

    @property
    def total(self) -> int:
        """All bytes, as if all were there at once."""
        return self.fixed + self.copies + self.loss + self.activations


def footprint(shape: Dimensions, plan: Plan) -> Footprint:
    """What a training takes: an estimate of the peak, without what Python and the libraries take.

    Args:
        shape: of the model.
        plan: how it is trained.
    """
    table = shape.vocabulary * shape.width
    whole = plan.trainable == "all"
    trains_tables = not plan.freeze_embeddings and (whole or plan.rows > 0)
    in_layers = shape.parameters - shape.embeddings if whole else shape.ffn
    wide = in_layers + (shape.embeddings if trains_tables else 0)
    trained = wide if whole or not trains_tables else in_layers + plan.rows * (shape.embeddings // shape.vocabulary)
    frozen, held = shape.parameters - wide, _BYTES[plan.dtype]
    copied = shape.parameters - shape.embeddings if plan.dtype == "float32" else in_layers
    logits = min(plan.tokens * shape.vocabulary, max(plan.logits, _FEWEST_ROWS * shape.vocabulary))
    loss = logits * (6 if plan.bf16 else _FLOAT)
    if trains_tables:
        loss += table * (8 if plan.bf16 else _FLOAT)  # products in float32 and bf16, and the table in bf16
    elif plan.bf16 and plan.dtype == "float32":
        loss += table * 2
    return Footprint(
        trained=trained,
        weights=_FLOAT * wide + held * frozen,
        gradients=_FLOAT * wide,
        state=trained * STATE.get(plan.optimizer, max(STATE.values())),
        copies=2 * copied if plan.bf16 else 0,
        loss=loss,
        activations=activation_bytes(shape, plan.tokens, checkpointing=plan.checkpointing, bf16=plan.bf16),
    )


def activation_bytes(shape: Dimensions, tokens: int, *, checkpointing: bool = False, bf16: bool = False) -> int:
    """An allowance for what a forward pass keeps for the backward pass.

    Per token an encoder layer of an M2M100 keeps about 12 numbers as wide as the model and one as wide as its FFN, a
    decoder layer 20 and one; with checkpointing a layer keeps 2, and one layer at a time is computed again. What
    PyTorch keeps for models of the presets is within a quarter of that; the attention of long sentences comes on top.

    Args:
        shape: of the model.
        tokens: in a micro-batch, on each side.
        checkpointing: whether activations are computed again in the backward pass.
        bf16: whether most are in bf16.
    """
    kept = sum(stack.layers * stack.kept for stack in shape.stacks)
    if checkpointing:
        layers = sum(stack.layers for stack in shape.stacks)
        kept = layers * 2 * shape.width + max(stack.kept for stack in shape.stacks)
    return round((_MIXED if bf16 else _FLOAT) * tokens * kept)


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


def readable_size(size: int) -> str:
    """A number of bytes for people: `1.5 GB`, `12.0 MB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
