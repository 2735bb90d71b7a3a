"""How often the filter `near_duplicates` drops a pair that is as alike as this to one before it.

    python benchmarks/near_duplicates.py [--pairs 20000] [--threshold 0.8]

Pairs are made of random sentences, and again with some of their words replaced on both sides. The likeness is the
geometric mean of the sides' Jaccard similarities of character 5-grams, as it is defined; a pair is dropped if both of
its sides share the same band of hashes with the first. Writes `results/near_duplicates.json`.
"""

from __future__ import annotations

import argparse
import random
from itertools import pairwise

import numpy as np

from machine import write_result
from neuronspec.corpus.filters.near_duplicates import band_hashes
from neuronspec.corpus.filters.settings import FilterSettings

EDGES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)


def word(draw: random.Random) -> str:
    return "".join(draw.choice("abcdefghijklmnoprstuvwyz") for _ in range(draw.randint(2, 9)))


def sentence(draw: random.Random) -> list[str]:
    return [word(draw) for _ in range(draw.randint(8, 30))]


def changed(words: list[str], draw: random.Random) -> list[str]:
    share = draw.uniform(0.0, 0.25)
    return [word(draw) if draw.random() < share else each for each in words]


def grams(text: str) -> set[str]:
    return {text[at : at + 5] for at in range(max(1, len(text) - 4))}


def jaccard(one: str, other: str) -> float:
    mine, theirs = grams(one), grams(other)
    return len(mine & theirs) / len(mine | theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.8)
    options = parser.parse_args()
    draw = random.Random(1)
    settings = FilterSettings.model_validate({"near_duplicates": {"threshold": options.threshold}})
    likeness, shared = np.ones(options.pairs), np.ones((options.pairs,), dtype=object)
    for side in range(2):
        first = [sentence(draw) for _ in range(options.pairs)]
        texts = [" ".join(words) for words in first]
        others = [" ".join(changed(words, draw)) for words in first]
        likeness *= [jaccard(one, other) for one, other in zip(texts, others, strict=True)]
        same = band_hashes(settings, texts, 1) == band_hashes(settings, others, 1)
        shared = same if side == 0 else shared & same
    likeness, dropped = np.sqrt(likeness), shared.any(axis=0)
    shares = {}
    for low, high in pairwise(EDGES):
        inside = (likeness >= low) & (likeness < high)
        shares[f"{low:g}-{high:g}"] = {"pairs": int(inside.sum()), "dropped": round(float(dropped[inside].mean()), 3)}
    write_result("near_duplicates", {"threshold": options.threshold, "pairs": options.pairs, "likeness": shares})


if __name__ == "__main__":
    main()
