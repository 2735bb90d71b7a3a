"""What the examples share: options, text from a file, and the neurons that each direction uses."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import torch

import neuronspec as ns

Feature = dict[str, str]


def parser_of(description: str | None, result: str) -> argparse.ArgumentParser:
    """The options that all examples have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or name on the hub of an encoder-decoder model")
    parser.add_argument("text", type=Path, help=".tsv file, one column per language")
    parser.add_argument("--out", type=Path, required=True, help=f"folder of the {result}")
    parser.add_argument("--batch-size", type=int, default=16)
    return parser


def read_pairs(path: Path, pivot: str = "en") -> list[Feature]:
    """Sentence pairs out of the pivot and into it, from a .tsv file whose header has the codes of the languages."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    directions = [pair for pair in permutations(rows[0], 2) if pivot in pair]
    return [
        {"direction": f"{source}-{target}", "source": row[source], "target": row[target]}
        for row in rows
        for source, target in directions
        if row[source] and row[target]
    ]


def batches_of(pairs: list[Feature], collator: ns.DataCollator, size: int = 16) -> Iterator[ns.Batch]:
    """The pairs in batches of one direction each, to record neurons on."""
    for direction in dict.fromkeys(pair["direction"] for pair in pairs):
        own = [pair for pair in pairs if pair["direction"] == direction]
        for first in range(0, len(own), size):
            inputs = collator(own[first : first + size])
            del inputs["directions"]
            yield ns.Batch(direction, inputs)


def find_masks(model: Any, collator: ns.DataCollator, pairs: list[Feature], coverage: float = 0.95) -> ns.NeuronMasks:
    """Record which neurons each direction uses on some pairs, and select them. Moves the model to the GPU, if any."""
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    activations = ns.record_activations(model, batches_of(pairs, collator))
    return ns.select_neurons(activations, ns.CumulativeActivation(coverage))
