"""The scores of translations by name, in the order in which files and tables show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from neuronspec.core.registry import Registry

Kind = TypeVar("Kind", bound=type)


METRICS: Registry[Any] = Registry(
    "metric",
    {
        "bleu": "neuronspec.scoring.metrics.bleu:Bleu",
        "chrf++": "neuronspec.scoring.metrics.chrf:Chrf",
        "spbleu": "neuronspec.scoring.metrics.spbleu:SpBleu",
        "ter": "neuronspec.scoring.metrics.ter:Ter",
        "comet": "neuronspec.scoring.metrics.comet:Comet",
        "loss": "neuronspec.scoring.metrics.loss:Loss",
        "off_target": "neuronspec.scoring.metrics.off_target:OffTarget",
        "off_target_reference": "neuronspec.scoring.metrics.off_target:OffTargetReference",
        "length_ratio": "neuronspec.scoring.metrics.lengths:LengthRatio",
        "empty": "neuronspec.scoring.metrics.lengths:Empty",
    },
)
"""A metric may use those before it: `length_ratio` counts the words of `bleu`."""


def register_metric(name: str, metric: Kind | None = None) -> Callable[[Kind], Kind]:
    """Make a metric of your own known under a name, which files and tables show it by.

    Args:
        name: as recipes write it (`evaluation.scores.metrics`).
        metric: a subclass of `StringMetric`; without it, the result decorates one.

    Returns:
        A decorator that registers a class and returns it unchanged.

    Raises:
        RecipeError: the name is taken by another metric.
    """
    from neuronspec.scoring.score import Metric

    return METRICS.register_subclass(name, metric, Metric)
