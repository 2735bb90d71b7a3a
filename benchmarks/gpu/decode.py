"""The step `decode` of `steps.py`; see there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

import specialized_step as step_benchmark
from gpu.files import arguments, earlier, write
from gpu.measure import DEVICE, EOS, PAD, QUICK, SHAPES, SPARSITY, build
from neuronspec.models.precision import autocast, tensor_cores
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.translation.beam import beam_search
from training_speed import settle

BEAMS, SOURCE = 5, 40


def translate(model: Any, specialized: bool, ours: bool, precision: str, sources: torch.Tensor, length: int) -> None:
    """Write `length` tokens for each source. Random weights hardly ever end a sentence, so both loops work as long."""
    options: dict[str, Any] = {"num_beams": BEAMS, "do_sample": False, "max_length": length + 1, "pad_token_id": PAD}
    if ours:
        limits = torch.full((len(sources),), length)
        options |= {"custom_generate": beam_search, "limits": limits}
    else:
        options |= {"early_stopping": True}
    start = torch.full((len(sources), 1), EOS, device=DEVICE)
    scope = use_direction(model, "en-de") if specialized else nullcontext()
    device = torch.device(DEVICE)
    with scope, tensor_cores(device), autocast(device, precision):
        model.generate(
            input_ids=sources, attention_mask=torch.ones_like(sources), decoder_input_ids=start,
            forced_eos_token_id=None, eos_token_id=EOS, **options,
        )  # fmt: skip


def waits(run: Callable[[], None]) -> int:
    """How often the host waits for the device; on a CPU, how often it would for a number or a length."""
    on_gpu = DEVICE == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as found:
        run()
    waiting = ("cudaStreamSynchronize", "cudaDeviceSynchronize")
    names = waiting if on_gpu else ("aten::_local_scalar_dense", "aten::nonzero")
    return sum(event.count for event in found.key_averages() if event.key in names)


def measured(arms: dict[str, Callable[[], None]], rounds: int, tokens: int, length: int) -> dict[str, Any]:
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, run in arms.items():
            settle()
            start = time.perf_counter()
            run()
            settle()
            if number:  # the first round warms up
                taken[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "target tokens/s": {name: round(tokens / value) for name, value in seconds.items()},
        "milliseconds a step": {name: round(1000 * value / length, 2) for name, value in seconds.items()},
        "waits a step": {name: round(waits(run) / length, 1) for name, run in arms.items()},
    }


@torch.no_grad()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    end = time.monotonic() + 0.8 * options.seconds
    result = earlier(options.result) | {"beam": BEAMS, "source tokens": SOURCE, "sparsity": SPARSITY}
    plan = [(shape, rows, kind) for shape in ("mT-big", "mT-small") for rows in (64, 8) for kind in ("bf16", "float32")]
    length = 60
    if options.quick:
        plan, length = [("tiny", 2, "float32")], 4
    for shape, rows, precision in plan:
        key = f"{shape}, {rows} sentences, {precision}"
        if key in result:
            continue
        if time.monotonic() > end:
            return
        model = build((QUICK | SHAPES)[shape]).eval()
        specialize(model, {"en-de": step_benchmark.random_masks(model, SPARSITY)})
        sources = torch.randint(4, model.config.vocab_size, (rows, SOURCE), device=DEVICE)
        arms = {
            f"{'ours' if ours else 'generate'}{', specialized' if specialized else ''}": partial(
                translate, model, specialized, ours, precision, sources, length
            )
            for ours in (True, False)
            for specialized in (False, True)
        }
        result[key] = measured(arms, 1 if options.quick else 3, rows * length, length)
        print(key, result[key], flush=True)
        write(options.result, result)
    write(options.result, result, complete=True)


if __name__ == "__main__":
    main()
