"""How long a training batch takes to make: the ids of its pairs from the token store, framed and padded.

    neuronspec prepare recipes/demo.yaml --out runs/demo
    python benchmarks/loader.py runs/demo/data [--batch-tokens 8192] [--batches 300]

One thread. Batches are those of the training stream, of one direction each and mixed; a batch counts from its rows'
numbers to its tensors. Writes `results/loader.json`: medians in milliseconds of wall time and of processor time, which
other work on the machine lengthens less; rows and padded tokens of a batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from machine import write_result
from neuronspec.batching.stream import TrainingBatches
from neuronspec.corpus.store import TokenStore
from neuronspec.models.text_format import TextFormat
from neuronspec.training.settings import TrainingSettings


def measure(store: TokenStore, batch_tokens: int, count: int, mixed: bool) -> dict[str, Any]:
    """Medians over batches."""
    settings = TrainingSettings(updates=1, batch_tokens=batch_tokens, mix_directions=mixed)
    directions = store.directions("train")
    batches = TrainingBatches(store, directions, TextFormat.of(store.tokenizer, directions), settings, seed=1)
    times, processor, rows, tokens = [], [], [], []
    for number in range(count + 10):
        draw = batches.draw()
        begun, begun_processor = time.perf_counter(), time.thread_time()
        made = batches.make(draw)
        spent, spent_processor = time.perf_counter() - begun, time.thread_time() - begun_processor
        if number >= 10:
            times.append(1000 * spent)
            processor.append(1000 * spent_processor)
            rows.append(len(draw.indices))
            tokens.append(made.padded)
    middle = {
        "milliseconds": times,
        "processor milliseconds": processor,
        "rows": rows,
        "padded tokens of both sides": tokens,
    }
    return {name: round(statistics.median(values), 2) for name, values in middle.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--batches", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = TokenStore.open(arguments.data)
    found = {
        name: measure(store, arguments.batch_tokens, arguments.batches, mixed)
        for name, mixed in (("one direction", False), ("mixed", True))
    }
    write_result("loader", {"batch tokens": arguments.batch_tokens, "batches": arguments.batches} | found)


if __name__ == "__main__":
    main()
