"""The step `parts` of `steps.py`; see there."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu.files import arguments, earlier, write
from gpu.measure import DEVICE, QUICK, SHAPES, Shape, batches_of, build, our_loss
from neuronspec.models import fast_attention
from neuronspec.models.batch import Batch
from neuronspec.models.precision import autocast
from neuronspec.training.projected_loss import projected_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import compiling, finish_step, prepare_step
from training_speed import settle

PLAN = (("mT-big", 32768), ("mT-small", 32768), ("mT-big", 8192))
OTHERS = [SDPBackend.MATH]
"""What attention falls back to where the kernel that is tried can't compute it."""


@contextmanager
def as_on_a_cpu(model: Any, products: bool, packs: bool) -> Iterator[None]:
    """As on a CPU: attention as two batched products and a softmax, or layers on real tokens alone."""
    before = fast_attention.DEVICES, fast_attention.LEAST_PADDING, model.config._attn_implementation
    fast_attention.DEVICES = frozenset({DEVICE} if products else ())
    fast_attention.LEAST_PADDING = 0.0 if packs else 2.0
    model.set_attn_implementation(fast_attention.SHORT)
    try:
        yield
    finally:
        fast_attention.DEVICES, fast_attention.LEAST_PADDING, implementation = before
        model.set_attn_implementation(implementation)


def kinds(model: Any) -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    """Ways to compute attention, by name."""
    made: dict[str, Callable[[], AbstractContextManager[Any]]] = {"as it comes": nullcontext}
    if DEVICE == "cuda":
        for name in ("cudnn", "efficient"):
            made[name] = partial(sdpa_kernel, [getattr(SDPBackend, f"{name.upper()}_ATTENTION"), *OTHERS])
    made["plain products"] = partial(as_on_a_cpu, model, products=True, packs=False)
    return made | {"real tokens alone": partial(as_on_a_cpu, model, products=False, packs=True)}


def milliseconds(run: Callable[[int], None], rounds: int) -> float:
    taken = []
    for number in range(rounds + 2):  # the first two warm up
        settle()
        start = time.perf_counter()
        run(number)
        settle()
        taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken[2:]), 2)


class Update:
    """An update of a dense model in bf16, whole and in parts."""

    def __init__(self, shape: Shape, tokens: int) -> None:
        self.model = build(shape)
        self.batches = batches_of(shape, tokens, 4)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)

    def of(self, number: int) -> Batch:
        return self.batches[number % len(self.batches)]

    def forward(self, number: int) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(torch.device(DEVICE), "bf16"):
            return our_loss(self.model, self.of(number))

    def gradient(self, number: int) -> None:
        (self.forward(number) / 1000).backward()

    def whole(self, number: int) -> None:
        self.gradient(number)
        self.optimizer.step()

    def loss(self, number: int) -> None:
        """The loss alone, with its gradients, of as many rows as the batch has targets."""
        head: nn.Module = self.model.get_output_embeddings()
        targets = self.of(number).inputs["labels"]
        targets = targets[targets != -100]
        hidden = torch.randn(len(targets), head.weight.shape[1], device=DEVICE, requires_grad=True)
        with autocast(torch.device(DEVICE), "bf16"):
            smoothed, _ = projected_loss(hidden, head.weight, None, targets, 0.1)
        smoothed.backward()

    def parts(self, rounds: int) -> dict[str, float]:
        runs: dict[str, Callable[[int], Any]] = {
            "whole": self.whole, "forward and backward": self.gradient,
            "optimizer": lambda _: self.optimizer.step(), "forward": self.forward, "loss": self.loss,
        }  # fmt: skip
        return {name: milliseconds(run, rounds) for name, run in runs.items()}

    def attention(self, rounds: int) -> dict[str, float]:
        found = {}
        for name, kind in kinds(self.model).items():
            with kind():
                found[name] = milliseconds(self.whole, rounds)
        return found

    def compiled(self, rounds: int) -> dict[str, Any]:
        """The same with compiled layers, and what compiling them took."""
        settings = TrainingSettings(updates=1, compile=True)
        found: dict[str, Any] = {}
        for name, kind in kinds(self.model).items():
            torch._dynamo.reset()
            torch._dynamo.utils.counters.clear()
            prepare_step(self.model, settings)
            with kind(), compiling(settings):
                start = time.perf_counter()
                self.whole(0)
                settle()
                found[f"{name}, first update, s"] = round(time.perf_counter() - start, 1)
                found[name] = milliseconds(self.whole, rounds)
            found[f"{name}, graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
            finish_step(self.model)
        return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    end, rounds = time.monotonic() + 0.7 * options.seconds, 2 if options.quick else 8
    result = earlier(options.result)
    for name, tokens in (("tiny", 256),) if options.quick else PLAN:
        measure = Update((QUICK | SHAPES)[name], tokens)
        methods = {"parts": measure.parts, "attention": measure.attention}
        if DEVICE == "cuda":
            methods["compiled, attention"] = measure.compiled
        for what, method in methods.items():
            key = f"{name}, {tokens} tokens, {what}, ms"
            if key in result:
                continue
            if time.monotonic() > end:
                return
            result[key] = method(rounds)
            print(key, result[key], flush=True)
            write(options.result, result)
        del measure, methods
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    write(options.result, result, complete=True)


if __name__ == "__main__":
    main()
