"""One of two processes of test_distributed.py: `-m tests.helpers.distributed_steps RANK FOLDER`.

Each process trains a direction of its own, under DDP and FSDP2.

Every process holds the gradients it finds against the mean over processes of the gradients of masked weights.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import gradients, naive, random_masks

DIRECTIONS = ("en-de", "de-en")


def check_ddp(family: str, semantics: str, method: str) -> None:
    model, inputs, masks, expected = _setup(family, semantics)
    specialize(model, masks, semantics, method=method)
    parallel = DistributedDataParallel(model)
    with use_direction(parallel, DIRECTIONS[dist.get_rank()]):
        parallel(**inputs[dist.get_rank()]).loss.backward()
    _assert_gradients(model, expected)


def check_fsdp(family: str, semantics: str, method: str, shard: Callable[[nn.Module], None], shard_first: bool) -> None:
    model, inputs, masks, expected = _setup(family, semantics)
    if shard_first:
        shard(model)
    specialize(model, masks, semantics, method=method)
    if not shard_first:
        shard(model)
    rank = dist.get_rank()
    with use_direction(model, DIRECTIONS[rank]):
        model(**inputs[rank]).loss.backward()
    _assert_gradients(model, expected)
    # what is kept in a scope without gradients must not outlive an update
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with use_direction(model, DIRECTIONS[rank]):
        with torch.no_grad():
            before = model(**inputs[rank]).logits
        optimizer.step()
        model.reshard()  # FSDP2 leaves the root's parameters as they were until a backward pass
        with torch.no_grad():
            after = model(**inputs[rank]).logits
    stepped = build_family(family, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in stepped.named_parameters():
            parameter.sub_(0.1 * expected[name])
        plain = naive(stepped, masks[DIRECTIONS[rank]], semantics, inputs[rank]).logits
    assert (after - before).abs().max() > 1e-3
    assert (after - plain).abs().max() < 1e-6


def _setup(family: str, semantics: str) -> tuple[nn.Module, list[dict], dict, dict[str, torch.Tensor]]:
    model = build_family(family, dtype=torch.float64)
    inputs = [padded_inputs(model, seed=rank) for rank in range(2)]
    masks = random_masks(model)
    losses = [naive(model, masks[d], semantics, batch).loss for d, batch in zip(DIRECTIONS, inputs, strict=True)]
    expected = gradients(model, sum(losses) / 2)
    model.zero_grad()
    return model, inputs, masks, expected


def _assert_gradients(model: nn.Module, expected: dict[str, torch.Tensor]) -> None:
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.full_tensor() if isinstance(parameter.grad, DTensor) else parameter.grad
        assert (gradient - expected[name]).abs().max() < 1e-7, name


def _by_layer(model: nn.Module) -> None:
    stacks = [model.model.encoder, model.model.decoder] if hasattr(model.model, "encoder") else [model.model]
    for stack in stacks:
        for layer in stack.layers:
            fully_shard(layer)
    fully_shard(model)


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for family in ("m2m100", "llama-bias"):
        for semantics, method in (("weight", "compact"), ("weight", "rows"), ("gradient", "rows")):
            check_ddp(family, semantics, method)
            for shard_first in (False, True):
                check_fsdp(family, semantics, method, _by_layer, shard_first)
    dist.barrier()
    print("all equal", flush=True)
    os._exit(0)  # tearing gloo down may wait for ever


main(int(sys.argv[1]), Path(sys.argv[2]))
