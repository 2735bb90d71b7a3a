"""What a training step of neuron-targeted updates costs: `semantics: gradient`, and with `trainable: neurons`.

    python benchmarks/gradient_step.py [--quick] [--threads 2] [--rounds 8] [--batch-tokens 4096]

The model and the batches are those of `specialized_step.py`, also with FFNs of width 8192. Masks are random; at a
sparsity of 50% half of the neurons of every site are selected (one direction is trained).

- dense: the model without masks; all weights are trained.
- gradient: the forward pass is the dense one; weights of the unselected neurons get no gradient.
- neurons: the same, and nothing but the selected neurons is trained.

Each has a model of its own and the optimizer of our training (fused Adam). Every round takes each one's step on the
same batch, one after the other, in an order that changes by round; ratios are taken within a round, then the median.
Freed memory stays in the process (`machine.keep_memory`): page faults of large tensors would be measured otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch

from machine import keep_memory, write_result
from neuronspec.models.batch import Batch
from neuronspec.models.precision import autocast
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training.loss import batch_loss
from neuronspec.training.optimization import Optimizer
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.trained import parts_of_neurons, train_neurons_alone
from specialized_step import build, make_batches, random_masks

SPARSITIES = (0.5, 0.7)
SETTINGS = TrainingSettings(updates=1000, learning_rate=1e-4, warmup=10, clip_norm=1.0)

Step = Callable[[Batch], None]


def make_step(width: int, precision: str, device: str, sparsity: float | None, neurons_alone: bool) -> Step:
    model = build(device, width)
    scope: Callable[[], AbstractContextManager[Any]] = nullcontext
    parts = None
    if sparsity is not None:
        masks = NeuronMasks.from_dict({"en-de": random_masks(model, sparsity)})
        if neurons_alone:
            train_neurons_alone(model)
        specialize(model, masks, "gradient")
        parts = parts_of_neurons(model, masks["en-de"]) if neurons_alone else None
        scope = partial(use_direction, model, "en-de")
    optimizer = Optimizer(model, SETTINGS, parts=parts)
    updates = iter(range(1, 10**6))

    def step(batch: Batch) -> None:
        with scope():
            with autocast(torch.device(device), precision):
                loss = batch_loss(model, batch, 0.1).smoothed
            loss.backward()
        optimizer.clip()
        optimizer.step(next(updates))

    return step


def measure(steps: dict[str, Step], batches: list[Batch], rounds: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            steps[name](batches[number % len(batches)])
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:  # the first round warms up
                taken[name].append(time.perf_counter() - start)
        print(f"round {number}", file=sys.stderr)
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(seconds, taken["dense"], strict=True)), 3)
        for name, seconds in taken.items()
        if name != "dense"
    }
    return {"seconds": {name: round(statistics.median(each), 4) for name, each in taken.items()}, "over dense": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds of small batches; writes no result")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--widths", type=int, nargs="+", default=[2048, 8192])
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batch_tokens = 2, 512
    torch.set_num_threads(options.threads)
    keep_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = "bf16" if device == "cuda" else "float32"
    batches = make_batches(min(options.rounds + 1, 8), options.batch_tokens, device)
    result: dict[str, Any] = {
        "device": device, "precision": precision, "batch tokens": options.batch_tokens, "rounds": options.rounds,
        "threads": options.threads,
    }  # fmt: skip
    for width in options.widths:
        for sparsity in SPARSITIES:
            steps = {
                "dense": make_step(width, precision, device, None, False),
                "gradient": make_step(width, precision, device, sparsity, False),
                "neurons": make_step(width, precision, device, sparsity, True),
            }
            result[f"width {width}, sparsity {sparsity:.0%}"] = measure(steps, batches, options.rounds)
    if options.quick:
        print(json.dumps(result, indent=1))
    else:
        write_result("gradient_step", result)


if __name__ == "__main__":
    main()
