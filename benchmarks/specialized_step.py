"""What a training step costs with sparse FFNs: ours against the dense step and against masking whole weights.

    python benchmarks/specialized_step.py [--quick] [--threads 2] [--rounds 8] [--batch-tokens 4096]

One step is: zero the gradient, forward, label-smoothed loss on target tokens, backward, fused Adam. The model is
an M2M100 with d_model 512, FFN 2048, 6+6 layers, a vocabulary of 16,000, dropout 0.1; the batches have the lengths of
real sentence pairs (`length_pairs.json`), cut as training cuts them. Masks are random, of the same sparsity at
every site.

- dense: the model without masks.
- ours: `specialize(model, masks)` with `use_direction`, as it comes.
- reference: the scheme of the paper's scripts: in each forward, `weight * mask` with the mask expanded to the shape
  of the weight.

All arms share one set of parameters and one optimizer, so that none of them runs on memory that has gone cold.
Every round takes each arm's step on the same batch, one after the other, in an order that changes by round. Ratios
are taken within a round, then the median over rounds; by wall time and by CPU time of the process, which work of
others on the machine disturbs less. On a GPU the shape is d_model 1024, FFN 4096, bf16, with
`torch.compile` off and on.
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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import M2M100Config, M2M100ForConditionalGeneration

from machine import RESULTS, write_result
from neuronspec.batching.plan import plan_epoch
from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch
from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.precision import autocast
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training.loss import batch_loss

SPARSITIES = (0.0, 0.3, 0.5, 0.7)
LENGTHS = Path(__file__).parent / "length_pairs.json"
PAD, EOS = 1, 2
KINDS = ("bf16", "float32", "bf16 compiled", "float32 compiled")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Step = Callable[[Batch], None]


def build(device: str, width: int | None = None) -> M2M100ForConditionalGeneration:
    """The model; `width` is that of its FFNs, other than usual."""
    d_model, ffn, heads = (1024, 4096, 16) if device == "cuda" else (512, 2048, 8)
    ffn = width or ffn
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=16000, d_model=d_model, encoder_ffn_dim=ffn, decoder_ffn_dim=ffn, encoder_layers=6,
        decoder_layers=6, encoder_attention_heads=heads, decoder_attention_heads=heads, dropout=0.1,
        attention_dropout=0.1, activation_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0,
        init_std=d_model**-0.5, pad_token_id=PAD, tie_word_embeddings=True,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).train().to(device)
    use_fast_attention(model)
    return model


def make_batches(number: int, batch_tokens: int, device: str) -> list[Batch]:
    """Random pieces in sentence pairs of real lengths, padded and cut into batches as in training."""
    pairs = np.array(json.loads(LENGTHS.read_text())["pairs"])
    pairs = np.concatenate([pairs] * -(-number * batch_tokens // int(pairs.max(1).sum())))
    plan = plan_epoch(
        pairs[:, 0], pairs[:, 1], batch_tokens=batch_tokens, seed=0, epoch=0, direction=Direction("en", "de")
    )
    generator = torch.Generator().manual_seed(0)

    def side(lengths: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]
        ids = torch.randint(4, 16000, mask.shape, generator=generator)
        return ids.masked_fill(~mask, PAD), mask.long()

    batches = []
    for indices in list(plan)[:number]:
        source, source_mask = side(pairs[indices, 0] + 2)
        labels, target_mask = side(pairs[indices, 1] + 2)
        start = torch.full((len(labels), 1), EOS)
        inputs = {
            "input_ids": source,
            "attention_mask": source_mask,
            "decoder_input_ids": torch.cat([start, labels[:, :-1]], 1),
            "decoder_attention_mask": target_mask,
            "labels": labels.masked_fill(target_mask == 0, -100),
        }
        batches.append(Batch(Direction("en", "de"), inputs).to(device))
    return batches


def random_masks(model: nn.Module, sparsity: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    masks = {}
    for site in find_ffn_sites(model):
        order = torch.randperm(site.width, generator=generator)
        masks[site.name] = order >= round(sparsity * site.width)
    return masks


class Reference:
    """The weights of fc1 multiplied by masks of their own shape in each forward."""

    def __init__(self, model: nn.Module) -> None:
        self.masks: dict[str, dict[nn.Module, torch.Tensor]] = {}
        self.active: dict[nn.Module, torch.Tensor] = {}
        for site in find_ffn_sites(model):
            up = site.ups[0]
            up.forward = lambda x, up=up: nn.functional.linear(x, up.weight * self.active[up], up.bias)

    def add(self, name: str, model: nn.Module, masks: dict[str, torch.Tensor]) -> None:
        ups = {site.ups[0]: masks[site.name] for site in find_ffn_sites(model)}
        self.masks[name] = {up: mask.to(up.weight)[:, None].expand_as(up.weight).clone() for up, mask in ups.items()}

    def use(self, name: str) -> AbstractContextManager[None]:
        self.active = self.masks[name]
        return nullcontext()


def share_parameters(first: nn.Module, others: list[nn.Module]) -> None:
    """Give the other models the parameters of the first."""
    for other in others:
        for own, module in zip(first.modules(), other.modules(), strict=True):
            module._parameters.update(own._parameters)


def make_step(
    model: nn.Module, optimizer: Any, precision: str, scope: Callable[[], AbstractContextManager[Any]]
) -> Step:
    device = next(model.parameters()).device

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        with scope():
            with autocast(device, precision):
                loss = batch_loss(model, batch, 0.1).smoothed
            loss.backward()
        optimizer.step()

    return step


def make_arms(precision: str, device: str, compiled: bool) -> dict[str, Step]:
    models = [build(device) for _ in range(3)]
    dense, ours, reference = models
    share_parameters(dense, [ours, reference])
    optimizer = torch.optim.Adam(dense.parameters(), lr=1e-4, fused=True)
    names = {f"en-s{round(100 * sparsity)}": random_masks(dense, sparsity) for sparsity in SPARSITIES}
    specialize(ours, names)
    masked = Reference(reference)
    for name, masks in names.items():
        masked.add(name, reference, masks)
    if compiled:
        for model in models:
            model.model.compile()

    def step(model: nn.Module, scope: Callable[[], AbstractContextManager[Any]]) -> Step:
        return make_step(model, optimizer, precision, scope)

    arms = {"dense": step(dense, nullcontext)}
    for name, sparsity in zip(names, SPARSITIES, strict=True):
        arms[f"ours {sparsity:.0%}"] = step(ours, partial(use_direction, ours, name))
        arms[f"reference {sparsity:.0%}"] = step(reference, partial(masked.use, name))
    return arms


def measure(arms: dict[str, Step], batches: list[Batch], rounds: int, minutes: float) -> dict[str, Any]:
    end = time.monotonic() + 60 * minutes
    taken: dict[str, dict[str, list[float]]] = {clock: {name: [] for name in arms} for clock in CLOCKS}
    names = list(arms)
    for number in range(rounds + 1):
        batch = batches[number % len(batches)]
        turn = number % len(names)
        if time.monotonic() > end:
            rounds = number - 1
            break
        for name in names[turn:] + names[:turn]:
            starts = {clock: read() for clock, read in CLOCKS.items()}
            arms[name](batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:  # the first round warms up
                for clock, read in CLOCKS.items():
                    taken[clock][name].append(read() - starts[clock])
            print(f"round {number} {name}: {time.perf_counter() - starts['wall']:.2f} s", file=sys.stderr)
    clocks = ["wall"] if torch.cuda.is_available() else list(CLOCKS)
    return {"rounds": rounds} | {clock: summary(taken[clock]) for clock in clocks}


def summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of the seconds, and of the ratios within a round."""

    def ratio(one: str, other: str) -> float:
        return round(statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True)), 3)

    names = [f"{sparsity:.0%}" for sparsity in SPARSITIES]
    return {
        "seconds": {name: round(statistics.median(values), 4) for name, values in seconds.items()},
        "ours / dense": {name: ratio(f"ours {name}", "dense") for name in names},
        "ours / reference": {name: ratio(f"ours {name}", f"reference {name}") for name in names},
        "reference / dense": {name: ratio(f"reference {name}", "dense") for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds of small batches; writes no result")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=60, help="for a precision; then the round is the last")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--precisions", nargs="+", default=["bf16", "float32"])
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batch_tokens = 2, 512
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = make_batches(min(options.rounds + 1, 8), options.batch_tokens, device)
    facts = {
        "device": device,
        "batch tokens": options.batch_tokens,
        "rounds": options.rounds,
        "threads": options.threads,
    }
    result: dict[str, Any] = {}
    for precision in options.precisions:
        for compiled in (False, True) if device == "cuda" else (False,):
            arms = make_arms(precision, device, compiled)
            name = precision + (" compiled" if compiled else "")
            result[name] = facts | measure(arms, batches, options.rounds, options.minutes)
    if options.quick:
        print(json.dumps(result, indent=1))
    else:
        path = RESULTS / "specialized_step.json"  # precisions may be measured one by one
        old = json.loads(path.read_text()) if path.exists() else {}
        write_result("specialized_step", {**{name: old[name] for name in KINDS if name in old}, **result})


if __name__ == "__main__":
    main()
