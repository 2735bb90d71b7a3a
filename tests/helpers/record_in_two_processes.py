"""One of two processes of a recording: `-m tests.helpers.record_in_two_processes RANK FOLDER`.

Rank 0 has one batch of four.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import distributed

from neuronspec.models.batch import Batch
from neuronspec.neurons.recording import record_activations
from tests.helpers.families import build_family, padded_inputs


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = build_family("m2m100")
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    directions = ("en-de", "de-en", "en-de", "en-fr")
    batches = [Batch(direction, padded_inputs(model, seed=seed)) for seed, direction in enumerate(directions)]
    acts = record_activations(wrapped, batches[:1] if rank == 0 else batches[1:])
    acts.save(folder / f"{rank}.safetensors")
    distributed.barrier()
    os._exit(0)  # tearing gloo down under DDP now and then waits for ever (torch 2.13)


main(int(sys.argv[1]), Path(sys.argv[2]))
