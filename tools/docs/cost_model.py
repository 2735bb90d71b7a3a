"""What the stages of a run cost, by its sizes; the constants come from the result files of `benchmarks/`.

An update takes, with all sizes per process:

- host = per_layer x layers: to start the operations of the layers;
- device = FLOPs / ceiling + per_logit x target tokens x vocabulary + per_parameter x parameters, where FLOPs are six
  per weight and token, and the ceiling is the rate of the largest matrix product that was measured;
- (device^p + host^p)^(1/p): on a CPU one comes after the other (p = 1), on a GPU they partly overlap (p = 2).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from generate_memory import nllb
from scipy.optimize import least_squares, nnls

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
        overlap: p.
    """

    ceiling: float
    constants: tuple[float, float, float]
    overlap: int

    def seconds(self, update: Update) -> float:
        """Of an update."""
        *device, host = update.sizes * self.constants
        return float(
            ((update.flops / self.ceiling + sum(device)) ** self.overlap + host**self.overlap) ** (1 / self.overlap)
        )

    @classmethod
    def fitted(cls, ceiling: float, updates: Sequence[tuple[Update, float]], overlap: int) -> Machine:
        """The machine whose constants give the measured seconds best, in logarithms."""
        scale = 1 / np.mean([update.sizes for update, _ in updates], axis=0)

        def misses(logs: np.ndarray) -> list[float]:
            machine = cls(ceiling, tuple(np.exp(logs) * scale), overlap)
            return [np.log(machine.seconds(update) / seconds) for update, seconds in updates]

        start = np.full(3, np.log(np.mean([seconds for _, seconds in updates]) / 3))
        found = least_squares(misses, start, bounds=(start - 12, start + 3))
        return cls(ceiling, tuple(float(value) for value in np.exp(found.x) * scale), overlap)


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
    machine = Machine.fitted(1e12 * steps["bf16 ceiling, TFLOP/s"], fit, overlap=2)
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


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured of a run in costs.json.

    Args:
        facts: its entry.
    """

    facts: Mapping[str, Any]

    @property
    def update(self) -> Update:
        """An update of its training."""
        shape = Dimensions.of_config(self.facts["config"])
        assert shape is not None
        targets = self.facts["target tokens"]
        return Update(shape, targets / (1 - self.facts["padding"]), targets)

    @property
    def trained(self) -> float:
        """Seconds of the baseline's and the arms' training."""
        return self._stages("train", "specialize/")

    @property
    def evaluated(self) -> float:
        """Seconds of translating and scoring."""
        return self._stages("evaluate/", "evaluate")

    @property
    def rest(self) -> float:
        """Seconds of all else but preparing, which reads the same catalogs in each."""
        return sum(self.facts["seconds"].values()) - self.facts["seconds"]["prepare"] - self.trained - self.evaluated

    @property
    def updates(self) -> float:
        """Updates of the baseline and of all arms, the latter half as many each."""
        return float(self.facts["updates"] * (1 + 0.5 * (self.facts["arms"] - 1)))

    @property
    def translating(self) -> np.ndarray:
        """What translating takes time by: operations, operations to start, and arms."""
        tokens = self.facts["arms"] * self.facts["sentences"] * self.facts["tokens of a sentence"]
        decoder = self.update.shape.stacks[1]
        weights = (
            decoder.layers * (decoder.ffn + decoder.other) + self.update.shape.vocabulary * self.update.shape.width
        )
        return np.array(
            [tokens * self.facts["changed"]["evaluation.beam"] * weights, tokens * decoder.layers, self.facts["arms"]]
        )

    @property
    def analysing(self) -> np.ndarray:
        """What the rest takes time by: operations of the forward passes with neurons left out, and directions."""
        directions = self.facts["directions"]
        return np.array([directions**2 * self.update.body * self.facts["tokens of a sentence"], directions, 1])

    def _stages(self, *names: str) -> float:
        """Seconds of stages by their names, or of all whose names begin with a name that ends with a slash."""
        folders = tuple(name for name in names if name.endswith("/"))
        seconds = self.facts["seconds"].items()
        return sum(taken for stage, taken in seconds if stage in names or stage.startswith(folders))


def cpu() -> tuple[Machine, list[Checked]]:
    """The CPU of costs.json, and its predictions of the runs that the constants don't come from."""
    content = read("costs")
    runs = {name: Run(facts) for name, facts in content["runs"].items()}
    fit = [runs[name] for name in content["fit"]]
    ceiling = content["ceiling, FLOP/s"][fit[0].facts["precision"]]
    machine = Machine.fitted(ceiling, [(run.update, run.trained / run.updates) for run in fit], overlap=1)
    translating = _constants([run.translating for run in fit], [run.evaluated for run in fit])
    analysing = _constants([run.analysing for run in fit], [run.rest for run in fit])
    checked = []
    for name in content["checked"]:
        run = runs[name]
        parts = [
            (f"run `{name}`, training", run.updates * machine.seconds(run.update), run.trained),
            (f"run `{name}`, evaluation", float(run.translating @ translating), run.evaluated),
            (f"run `{name}`, recording, analysis and report", float(run.analysing @ analysing), run.rest),
        ]
        checked += [Checked(*part) for part in parts]
        checked.append(
            Checked(f"run `{name}`, all but reading the text", *(sum(part[i] for part in parts) for i in (1, 2)))
        )
    return machine, checked


def _constants(sizes: Sequence[np.ndarray], seconds: Sequence[float]) -> np.ndarray:
    """The constants, none of them negative, that give the seconds best, in parts of them."""
    matrix = np.array(sizes) / np.array(seconds)[:, None]
    scale = matrix.max(axis=0)
    return np.asarray(nnls(matrix / scale, np.ones(len(seconds)))[0] / scale)
