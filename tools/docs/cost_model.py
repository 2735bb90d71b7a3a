"""What an update and preparing cost, by their sizes; the constants come from the result files of `benchmarks/`.

An update takes, with all sizes per process:

- host = per_layer x layers: to start the operations of the layers;
- device = FLOPs / ceiling + per_logit x target tokens x vocabulary + per_parameter x parameters, where FLOPs are six
  per weight and token, and the ceiling is the rate of the largest matrix product that was measured;
- (device^2 + host^2)^(1/2) in all: on a GPU they partly overlap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from generate_memory import nllb
from scipy.optimize import least_squares

from neuronspec.models.dimensions import Dimensions

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
GPU_SHAPES = {"mT-small": (512, 1024, 6, 32_000), "mT-big": (1024, 4096, 6, 64_000), "NLLB": (1024, 4096, 12, 256_206)}
"""Width, FFN, layers on each side and vocabulary of the models in gpu.json."""
GPU_CHECKED = ("mT-big, 8192 tokens", "mT-small, 32768 tokens")
TEXTS_CHECKED = "10000000"


@dataclass(frozen=True, slots=True)
class Update:
    """What an update's time depends on.

    Args:
        shape: of the model.
        tokens: on each side, with padding.
        targets: target tokens without padding.
        checkpointing: whether the layers are computed again in the backward pass.
    """

    shape: Dimensions
    tokens: float
    targets: float
    checkpointing: bool = False

    @property
    def body(self) -> int:
        """Parameters of the layers."""
        return sum(stack.layers * (stack.ffn + stack.other) for stack in self.shape.stacks)

    @property
    def flops(self) -> float:
        """Operations of its matrix products, forward and backward."""
        layers = (8 if self.checkpointing else 6) * self.body * self.tokens
        return layers + 6 * self.shape.vocabulary * self.shape.width * self.targets

    @property
    def sizes(self) -> np.ndarray:
        """Logits, parameters and layers: what the three constants are multiplied by."""
        layers = sum(stack.layers for stack in self.shape.stacks)
        return np.array([self.targets * self.shape.vocabulary, self.shape.parameters, layers], dtype=float)


@dataclass(frozen=True, slots=True)
class Machine:
    """The constants of a machine.

    Args:
        ceiling: FLOP/s.
        constants: seconds per logit, per parameter and per layer.
    """

    ceiling: float
    constants: tuple[float, float, float]

    def seconds(self, update: Update) -> float:
        """Of an update."""
        *device, host = update.sizes * self.constants
        return float(np.hypot(update.flops / self.ceiling + sum(device), host))

    @classmethod
    def fitted(cls, ceiling: float, updates: Sequence[tuple[Update, float]]) -> Machine:
        """The machine whose constants give the measured seconds best, in logarithms."""
        scale = 1 / np.mean([update.sizes for update, _ in updates], axis=0)

        def misses(logs: np.ndarray) -> list[float]:
            machine = cls(ceiling, tuple(np.exp(logs) * scale))
            return [np.log(machine.seconds(update) / seconds) for update, seconds in updates]

        start = np.full(3, np.log(np.mean([seconds for _, seconds in updates]) / 3))
        found = least_squares(misses, start, bounds=(start - 12, start + 3))
        return cls(ceiling, tuple(float(value) for value in np.exp(found.x) * scale))


@dataclass(frozen=True, slots=True)
class Checked:
    """A prediction, and what was measured; neither was used to find the constants.

    Args:
        what: in words.
        predicted: seconds.
        measured: seconds.
    """

    what: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """By which part of what was measured the prediction is off."""
        return self.predicted / self.measured - 1


def read(name: str) -> dict[str, Any]:
    """A result file."""
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))


def gpu() -> tuple[Machine, list[Checked]]:
    """The GPU of gpu.json, and its predictions of the points that the constants don't come from."""
    steps = read("gpu")["steps"]
    points = {name: (_gpu_update(name, one), one["milliseconds"]["dense"] / 1e3) for name, one in steps.items()
              if name.endswith("tokens")}  # fmt: skip
    fit = [point for name, point in points.items() if name not in GPU_CHECKED]
    machine = Machine.fitted(1e12 * steps["bf16 ceiling, TFLOP/s"], fit)
    checked = [
        Checked(f"an update of {name}", machine.seconds(points[name][0]), points[name][1]) for name in GPU_CHECKED
    ]
    return machine, checked


def _gpu_update(name: str, measured: Mapping[str, Any]) -> Update:
    kind, _, tokens = name.removesuffix(" tokens").partition(", ")
    width, ffn, layers, vocabulary = GPU_SHAPES[kind]
    return Update(bart_like(width, ffn, layers, vocabulary), int(tokens), measured["target tokens"])


def bart_like(width: int, ffn: int, layers: int, vocabulary: int) -> Dimensions:
    """The sizes of an M2M100 or NLLB model."""
    shape = Dimensions.of_config(nllb(width, layers, ffn) | {"vocab_size": vocabulary})
    assert shape is not None
    return shape


def preparing() -> tuple[float, float, Checked]:
    """Seconds per text, and of the tokenizer's training on its largest sample; and the largest corpus as predicted."""
    sizes = {int(name): size["prepare"] for name, size in read("scale")["sizes"].items()}
    *fit, most = sorted(sizes)
    seconds = {pairs: size["seconds"]["reading"] + size["seconds"]["tokenizing"] for pairs, size in sizes.items()}
    per_text = sum(seconds[pairs] for pairs in fit) / sum(2 * pairs for pairs in fit)
    tokenizer = sizes[fit[-1]]["seconds"]["tokenizer"]
    measured = seconds[most] + sizes[most]["seconds"]["tokenizer"]
    return per_text, tokenizer, Checked(f"preparing {most:,} pairs", 2 * most * per_text + tokenizer, measured)
