"""Sufficient statistics of sacreBLEU's metrics by sentence: what scores of any resampled test set are computed from.

A test set's score depends on the sums of these rows alone, so a thousand resamples are one matrix product. Each
metric's file has sacreBLEU's formula over many sums at once (`values`); tests compare them with sacreBLEU.

`RUN/evaluation/ARM/en-de.statistics.safetensors` holds an array `[sentences, columns]` per metric, and in its metadata
`scored_from`, a fingerprint of the text and the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuronspec.core.checksums import verify
from neuronspec.core.files import no_regular_file, replacing

Rows = npt.NDArray[np.float64]
"""Statistics, shape [sentences, columns] or, summed over sentences, [resamples, columns]."""
Values = npt.NDArray[np.float64]
Statistics = dict[str, Rows]
"""By metric."""


def save_statistics(path: Path, statistics: Statistics, scored_from: str) -> None:
    """Write the statistics of a test set; whole numbers as int32."""
    from safetensors.numpy import save_file

    arrays = {name: _narrow(rows) for name, rows in statistics.items()}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata={"scored_from": scored_from})


def load_statistics(path: Path, scored_from: str) -> Statistics | None:
    """The statistics in a file; None if there is none that is whole and was made from the same.

    Raises:
        RunError: it isn't what its run made.
    """
    verify(path)
    if no_regular_file(path):
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("scored_from") != scored_from:
                return None
            return {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (OSError, SafetensorError):
        return None


def _narrow(rows: Rows) -> npt.NDArray[Any]:
    whole = rows.astype(np.int32)
    return np.ascontiguousarray(whole if (whole == rows).all() else rows)
