"""`corpus.max_pairs`: a file of the token store with more pairs than wanted is cut to a sample of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from neuronspec.core.randomness import generator
from neuronspec.corpus.encode import PairCounts
from neuronspec.corpus.readers.rows import Pair

RULE = "max pairs"


def cap(path: Path, pair: Pair, counts: PairCounts, most: int, seed: int) -> PairCounts:
    """Leave `most` pairs in a file, drawn with the seed, in their order.

    Args:
        path: of the file; it is replaced where it has more.
        pair: of languages.
        counts: of the file, `sources` in the order of its rows.
        most: pairs that are left.
        seed: of the draw.

    Returns:
        The counts of what is left.
    """
    if counts.kept <= most:
        return counts
    drawn = generator(seed, "max pairs", "-".join(pair)).choice(counts.kept, most, replace=False)
    drawn.sort()
    places = sorted(counts.sources)
    ends = np.cumsum([counts.sources[place]["kept"] for place in places])
    left = PairCounts(Counter(counts.rules))
    left.rules[RULE] += counts.kept - most
    smaller, first = path.with_suffix(".capped"), 0
    with pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        with pa.ipc.new_file(str(smaller), reader.schema) as writer:
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                rows = drawn[np.searchsorted(drawn, first) : np.searchsorted(drawn, first + batch.num_rows)]
                # a batch is of one source
                place = places[int(np.searchsorted(ends, first, side="right"))]
                first += batch.num_rows
                if not len(rows):
                    continue
                kept = batch.take(pa.array(rows - (first - batch.num_rows)))
                writer.write_batch(kept)
                lengths = (int(kept.column(f"{side}_length").to_numpy().sum()) for side in ("first", "second"))
                left.add(place, Counter({"kept": len(rows)} | dict(zip(pair, lengths, strict=True))))
    smaller.replace(path)
    return left
