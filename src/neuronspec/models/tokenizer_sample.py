"""Temperature sampling of sentences for the tokenizer's training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa


def sample_sizes(available: Mapping[str, int], temperature: float, limit: int) -> dict[str, int]:
    """How many sentences of each language to take: in proportion to (available)^(1/temperature).

    As many in all as there are, at most `limit`. A small language may get more than it has: its sentences are repeated
    (Arivazhagan et al. 2019, "Massively Multilingual Neural Machine Translation in the Wild", section 4.2).
    """
    total = min(limit, sum(available.values()))
    weights = {code: count ** (1 / temperature) for code, count in available.items() if count}
    return {code: max(1, round(total * weight / sum(weights.values()))) for code, weight in weights.items()}


def sample(batches: Iterable[pa.RecordBatch], available: Mapping[str, int], sizes: Mapping[str, int]) -> Iterator[str]:
    """`sizes[code]` of the `available[code]` sentences of each language, evenly spaced or evenly repeated.

    No random numbers: the same rows give the same sample.
    """
    seen = dict.fromkeys(sizes, 0)
    for batch in batches:
        for code, size in sizes.items():
            present = np.flatnonzero(batch.column(code).is_valid().to_numpy(zero_copy_only=False))
            places = seen[code] + np.arange(len(present) + 1)
            seen[code] += len(present)
            times = np.diff(places * size // available[code])
            yield from batch.column(code).take(pa.array(np.repeat(present, times))).to_pylist()
