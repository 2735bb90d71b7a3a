"""The measuring steps of `steps.py`; see there."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import M2M100Config, M2M100ForConditionalGeneration

import specialized_step as step_benchmark
from gpu.files import arguments, earlier, write
from neuronspec.batching.collate import ready
from neuronspec.models.batch import Batch, Ready
from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.precision import autocast
from neuronspec.models.settings import ModelSettings
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training import projected_loss
from neuronspec.training.loss import batch_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import compiling, prepare_step
from speed.shapes import floating_point_operations
from speed.turns import Worker
from training_speed import ceiling, settle

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PAD, EOS, SMOOTHING = 1, 2, 0.1
SPARSITY = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a model."""

    d_model: int
    ffn: int
    heads: int
    layers: int
    vocabulary: int

    def operations(self, sources: int, targets: int) -> float:
        """Floating-point operations of an update's matrix products."""
        settings = ModelSettings(
            d_model=self.d_model, encoder_layers=self.layers, decoder_layers=self.layers, encoder_ffn_dim=self.ffn,
            decoder_ffn_dim=self.ffn, encoder_attention_heads=self.heads, decoder_attention_heads=self.heads,
        )  # fmt: skip
        return floating_point_operations(settings, self.vocabulary, sources, targets)


SHAPES = {
    "mT-small": Shape(512, 1024, 4, 6, 32000),
    "mT-big": Shape(1024, 4096, 16, 6, 64000),
    "NLLB": Shape(1024, 4096, 16, 12, 256206),
}
QUICK = {"tiny": Shape(32, 64, 2, 1, 200)}


def build(shape: Shape) -> M2M100ForConditionalGeneration:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=shape.vocabulary, d_model=shape.d_model, encoder_ffn_dim=shape.ffn, decoder_ffn_dim=shape.ffn,
        encoder_layers=shape.layers, decoder_layers=shape.layers, encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads, dropout=0.1, attention_dropout=0.1, activation_dropout=0.0,
        encoder_layerdrop=0.0, decoder_layerdrop=0.0, init_std=shape.d_model**-0.5, pad_token_id=PAD,
    )  # fmt: skip
    with torch.device(DEVICE):
        model = M2M100ForConditionalGeneration(config).train()
    use_fast_attention(model)
    return model


def batches_of(shape: Shape, tokens: int, number: int) -> list[Batch]:
    """Random pieces in batches with the lengths of real sentence pairs."""
    made = step_benchmark.make_batches(number, tokens, DEVICE)
    for batch in made:
        for name in ("input_ids", "decoder_input_ids", "labels"):
            ids = batch.inputs[name]
            ids.copy_(torch.where(ids > 3, 4 + (ids * 7919) % (shape.vocabulary - 4), ids))
    return [Batch(batch.direction, batch.inputs, known(batch)) for batch in made]


def known(batch: Batch) -> Ready:
    """What the loader finds for the training loop."""
    found = ready({name: value.cpu() for name, value in batch.inputs.items()}, is_causal=False)
    return found.each(lambda tensor: tensor.to(DEVICE))


def plain_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    """What Seq2SeqTrainer computes: all logits, then the label-smoothed loss of those that count."""
    inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
    logits = model(**inputs, use_cache=False).logits
    labels = batch.inputs["labels"].flatten()
    return cross_entropy(
        logits.flatten(0, 1).float(), labels, ignore_index=-100, reduction="sum", label_smoothing=SMOOTHING
    )


def our_loss(model: nn.Module, batch: Batch) -> torch.Tensor:
    return batch_loss(model, batch, SMOOTHING).smoothed


def make_arms(shape: Shape, compiled: bool) -> dict[str, Callable[[Batch], None]]:
    """An update of each arm; all share one set of parameters and one optimizer."""
    models = {name: build(shape) for name in ("dense", "plain", "auto", "rows", "masked", "weights", "gradient")}
    first = models["dense"]
    step_benchmark.share_parameters(first, list(models.values())[1:])
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(first.parameters(), lr=1e-4, fused=True)
    masks = {"en-de": step_benchmark.random_masks(first, SPARSITY)}
    specialize(models["auto"], masks)
    specialize(models["rows"], masks, method="rows")
    specialize(models["masked"], masks, method="masked")
    specialize(models["gradient"], masks, semantics="gradient")
    reference = step_benchmark.Reference(models["weights"])
    reference.add("en-de", models["weights"], {site: mask.to(DEVICE) for site, mask in masks["en-de"].items()})
    if compiled:
        del models["plain"], models["rows"]
        for model in models.values():
            prepare_step(model, TrainingSettings(updates=1, compile=DEVICE == "cuda"))

    def update(
        model: nn.Module,
        loss_of: Callable[[nn.Module, Batch], torch.Tensor],
        scope: Callable[[], AbstractContextManager[Any]],
        batch: Batch,
    ) -> None:
        optimizer.zero_grad(set_to_none=True)
        with scope():
            with autocast(torch.device(DEVICE), "bf16"):
                loss = loss_of(model, batch)
            (loss / 1000).backward()
        optimizer.step()

    scopes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "auto": partial(use_direction, models["auto"], "en-de"),
        "masked": partial(use_direction, models["masked"], "en-de"),
        "weights": partial(reference.use, "en-de"),
        "gradient": partial(use_direction, models["gradient"], "en-de"),
    }
    if not compiled:
        scopes["rows"] = partial(use_direction, models["rows"], "en-de")
    made = {
        name: partial(update, model, plain_loss if name == "plain" else our_loss, scopes.get(name, nullcontext))
        for name, model in models.items()
    }
    return made | {"dense, loss unfused": partial(update, first, our_loss, unfused)}


@contextmanager
def unfused() -> Iterator[None]:
    """The elementwise part of the loss is computed operation by operation."""
    before, projected_loss.FUSED = projected_loss.FUSED, frozenset()
    try:
        yield
    finally:
        projected_loss.FUSED = before


def measured(arms: dict[str, Callable[[Batch], None]], batches: list[Batch], rounds: int) -> dict[str, Any]:
    """Medians of milliseconds, ratios to dense within a round, and peak memory."""
    taken: dict[str, list[float]] = {name: [] for name in arms}
    peaks: dict[str, float] = {}
    full: set[str] = set()
    for number in range(rounds + 2):
        for name in arms:
            if name in full:
                continue
            settle()
            if DEVICE == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            try:
                arms[name](batches[number % len(batches)])
            except torch.OutOfMemoryError:
                full.add(name)
                gc.collect()
                torch.cuda.empty_cache()
                continue
            settle()
            if number > 1:  # the first rounds warm up
                taken[name].append(1000 * (time.perf_counter() - start))
            if DEVICE == "cuda":
                peaks[name] = max(peaks.get(name, 0.0), torch.cuda.max_memory_allocated() / 2**30)
    return {
        "milliseconds": {name: round(statistics.median(values), 2) for name, values in taken.items() if values},
        "over dense": {
            name: round(statistics.median(a / b for a, b in zip(values, taken["dense"], strict=True)), 3)
            for name, values in taken.items()
            if len(values) == len(taken["dense"])
        },
        "peak GiB": {name: round(value, 2) for name, value in peaks.items()},
        "out of memory": sorted(full),
    }


def updates(result: dict[str, Any], options: argparse.Namespace, end: float) -> bool:
    """Updates of every shape and size of batch; whether all are there."""
    highest = ceiling(torch.bfloat16)
    result |= {"bf16 ceiling, TFLOP/s": round(highest / 1e12, 1), "sparsity": SPARSITY}
    plan = [
        ("mT-big", (32768, 8192), False), ("mT-big", (32768,), True), ("NLLB", (8192,), False),
        ("mT-small", (32768, 8192), False), ("mT-big", (4096,), False), ("mT-small", (32768,), True),
    ]  # fmt: skip
    if options.quick:
        plan = [("tiny", (256,), False)]
    for name, sizes, compiled in plan:
        shape = (QUICK | SHAPES)[name]
        missing = {size: key for size in sizes if (key := key_of(name, size, compiled)) not in result}
        if not missing:
            continue
        if time.monotonic() > end:
            return False
        arms = make_arms(shape, compiled)
        for tokens, key in missing.items():
            with compiling(TrainingSettings(updates=1, compile=compiled)):
                result[key] = one_size(arms, shape, tokens, highest, 3 if options.quick else 12)
            if compiled:
                result[key]["graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
            print(key, json.dumps(result[key]), flush=True)
            write(options.result, result)
        del arms
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        gc.collect()
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
    return True


def key_of(name: str, tokens: int, compiled: bool) -> str:
    return f"{name}, {tokens} tokens{', compiled' if compiled else ''}"


def one_size(
    arms: dict[str, Callable[[Batch], None]], shape: Shape, tokens: int, highest: float, rounds: int
) -> dict[str, Any]:
    batches = batches_of(shape, tokens, 4)
    found = measured(arms, batches, rounds)
    sources = statistics.mean(int(batch.inputs["attention_mask"].sum()) for batch in batches)
    targets = statistics.mean(int((batch.inputs["labels"] != -100).sum()) for batch in batches)
    work = shape.operations(round(sources), round(targets))
    milliseconds = found["milliseconds"]
    found["target tokens"] = round(targets)
    found["target tokens/s"] = {arm: round(1000 * targets / value) for arm, value in milliseconds.items()}
    found["share of ceiling"] = {arm: round(work / highest / (t / 1000), 3) for arm, t in milliseconds.items()}
    return found


def loops(result: dict[str, Any], options: argparse.Namespace, end: float) -> bool:
    """Whole training loops that take turns, each in its process; whether all are there."""
    script = Path(__file__).resolve().parent.parent / "training_speed.py"
    for size, tokens in (("d256", 512),) if options.quick else (("big", 8192), ("d512", 8192)):
        key = f"loop, {size}, {tokens} tokens"
        if key in result:
            continue
        if time.monotonic() > end:
            return False
        arms = {"neuronspec": ("neuronspec", 0), "Seq2SeqTrainer": ("Seq2SeqTrainer sdpa", 0)}
        if DEVICE == "cuda":
            arms["neuronspec compiled"] = ("neuronspec", 1)
        workers = []
        for name, (arm, compiled) in arms.items():
            folder = options.result.parent / f"{size}-{name.replace(' ', '-')}"
            command = [sys.executable, str(script), "--worker", arm, str(folder), str(options.data), size]
            command += [str(tokens), "1" if options.quick else "10", "4", str(compiled), "bf16"]
            workers.append(Worker(name, command, folder.with_suffix(".log"), {}))
        for worker in workers:
            worker.built()
        for worker in workers:
            worker.turn()
        turns: dict[str, list[dict[str, float]]] = {worker.name: [] for worker in workers}
        for _ in range(2 if options.quick else 6):
            for worker in workers:
                turns[worker.name].append(worker.turn())
            if time.monotonic() > end:
                break
        for worker in workers:
            worker.end()
        rates = {name: [turn["tokens"] / turn["seconds"] for turn in taken] for name, taken in turns.items()}
        result[key] = {
            "target tokens/s": {name: round(statistics.median(values)) for name, values in rates.items()},
            "over Seq2SeqTrainer": {
                name: round(statistics.median(a / b for a, b in zip(values, rates["Seq2SeqTrainer"], strict=True)), 3)
                for name, values in rates.items()
            },
            "peak GiB": {name: round(max(t["memory"] for t in taken) / 2**30, 2) for name, taken in turns.items()},
            "rounds": len(turns["neuronspec"]),
        }
        write(options.result, result)
    return True


def speed(result: dict[str, Any], options: argparse.Namespace, seconds: float) -> bool:
    """Single updates, and whole loops where there is text."""
    end = time.monotonic() + 0.8 * seconds
    first = not options.data or loops(result, options, time.monotonic() + 0.4 * seconds)
    return updates(result, options, end) and first


def profile(result: dict[str, Any], options: argparse.Namespace, seconds: float) -> bool:
    """Kernels by time, and how often the host waits for the device, in an update."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    shape = QUICK["tiny"] if options.quick else SHAPES["mT-big"]
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if DEVICE == "cuda" else [])
    for tokens in (256,) if options.quick else (32768, 8192):
        arms, batches = make_arms(shape, False), batches_of(shape, tokens, 2)
        for arm in ("dense", "auto"):
            for batch in batches:
                arms[arm](batch)
            settle()
            with profiled(activities=activities) as found:
                arms[arm](batches[0])
                settle()
            events = found.key_averages()
            by = "self_device_time_total" if DEVICE == "cuda" else "self_cpu_time_total"
            ranked = sorted(events, key=lambda event: -getattr(event, by))[:25]
            counts = {event.key: event.count for event in events}
            result[f"{arm}, {tokens} tokens"] = {
                "milliseconds": {f"{event.key[:90]} x{event.count}": getattr(event, by) / 1000 for event in ranked},
                "launches": counts.get("cudaLaunchKernel", 0) + counts.get("cuLaunchKernelEx", 0),
                "synchronizations": counts.get("cudaStreamSynchronize", 0) + counts.get("cudaDeviceSynchronize", 0),
                "cast operations": counts.get("aten::to", 0), "item": counts.get("aten::_local_scalar_dense", 0),
                "nonzero": counts.get("aten::nonzero", 0),
            }  # fmt: skip
            print(found.key_averages().table(sort_by=by, row_limit=40), flush=True)
            write(options.result, result)
        del arms
        gc.collect()
    return True


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    result = earlier(options.result)
    complete = {"speed": speed, "profile": profile}[options.step](result, options, options.seconds)
    write(options.result, result, complete)


if __name__ == "__main__":
    try:
        main()
    except subprocess.SubprocessError as error:
        raise SystemExit(str(error)) from None
