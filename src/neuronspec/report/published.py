"""Published results, to be drawn beside those of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """Results of a paper.

    Args:
        source: the paper and the table or figure, for people.
        coverage: k of the overlap.
        overlap: mean pairwise IoU, from 0 to 1, layer by layer: of `encoder` in directions into the pivot, of
            `decoder` in directions out of it.
        scores: by metric, arm and tier (or `all`), the means of directions out of the pivot and into it.
    """

    source: str
    coverage: float
    overlap: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]


EC30 = Published(
    source="Tan, Wu and Monz (EMNLP 2024, arXiv 2404.11201), mT-big on EC30",
    coverage=0.7,
    overlap={
        "encoder": (0.377, 0.479, 0.526, 0.591, 0.630, 0.655),
        "decoder": (0.522, 0.497, 0.414, 0.299, 0.241, 0.259),
    },
    scores={
        "bleu": {
            "base": {"high": (28.1, 31.6), "medium": (29.7, 31.6), "low": (18.9, 26.0), "all": (25.6, 29.7)},
            "specialized": {"high": (29.9, 33.0), "medium": (31.0, 32.7), "low": (20.2, 26.9), "all": (27.1, 30.9)},
        },
        "chrf++": {
            "base": {"high": (52.4, 57.6), "medium": (54.0, 56.6), "low": (42.5, 50.0), "all": (49.6, 54.7)},
            "specialized": {"high": (53.9, 58.7), "medium": (55.0, 57.5), "low": (43.6, 50.7), "all": (50.8, 55.6)},
        },
    },
)
