"""From how many tokens on compact FFNs pay in training: where the threshold of `method="auto"` comes from.

    python benchmarks/compact_threshold.py [--rounds 15] [--threads 1]

One FFN block (d_model 512, 2048 neurons, ReLU, biases), forward and backward, in three ways: dense, compact, and
at full width with masking (`rows`), which is what `auto` falls back to. Taken in turn on the same input; medians of
the ratios to the dense block within a round. Time is CPU time of the process on a CPU and wall time on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn

from machine import write_result
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction

D_MODEL, WIDTH = 512, 2048
SPARSITIES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
TOKENS = (32, 64, 128, 256, 512, 2048)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.activation_fn, self.fc2 = nn.Linear(D_MODEL, WIDTH), nn.ReLU(), nn.Linear(WIDTH, D_MODEL)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation_fn(self.fc1(x)))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[0](x)


def make_models(device: str) -> dict[str, nn.Module]:
    order = torch.randperm(WIDTH)
    masks = {f"en-s{round(100 * s)}": {"layers.0": order >= round(s * WIDTH)} for s in SPARSITIES}
    models = {name: Stack().to(device) for name in ("dense", "compact", "masked")}
    specialize(models["compact"], masks, method="compact")
    specialize(models["masked"], masks, method="rows")
    return models


def run(model: nn.Module, sparsity: float | None, x: torch.Tensor, gradient: torch.Tensor, bf16: bool) -> float:
    """Seconds of one forward and backward pass; the gradient before it is forgotten, as in training."""
    model.zero_grad(set_to_none=True)
    x.grad = None
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    start = clock()
    with nullcontext() if sparsity is None else use_direction(model, f"en-s{round(100 * sparsity)}"):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            out = model(x)
        out.backward(gradient.to(out.dtype))
    if x.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def measure(models: dict[str, nn.Module], tokens: int, rounds: int, bf16: bool, device: str) -> dict[str, object]:
    x = torch.randn(tokens, D_MODEL, device=device, requires_grad=True)
    gradient = torch.randn(tokens, D_MODEL, device=device)
    arms = [(name, sparsity) for sparsity in SPARSITIES for name in ("compact", "masked")]
    seconds: dict[tuple[str, float | None], list[float]] = {}
    for number in range(rounds + 1):
        for name, sparsity in [("dense", None), *(arms if number % 2 else reversed(arms))]:
            taken = run(models[name], sparsity, x, gradient, bf16)
            if number:  # the first round warms up
                seconds.setdefault((name, sparsity), []).append(taken)
    dense = seconds["dense", None]

    def ratio(arm: tuple[str, float]) -> float:
        return round(statistics.median(a / b for a, b in zip(seconds[arm], dense, strict=True)), 3)

    return {
        "dense, ms": round(1000 * statistics.median(dense), 2),
        "compact / dense": {f"{sparsity:.0%}": ratio(("compact", sparsity)) for sparsity in SPARSITIES},
        "masked / dense": {f"{sparsity:.0%}": ratio(("masked", sparsity)) for sparsity in SPARSITIES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = make_models(device)
    result: dict[str, object] = {"device": device, "rounds": options.rounds}
    for precision in ("bf16", "float32"):
        result[precision] = {
            f"{tokens} tokens": measure(models, tokens, options.rounds, precision == "bf16", device)
            for tokens in TOKENS
        }
    write_result("compact_threshold", result)


if __name__ == "__main__":
    main()
