"""In which types of numbers a model was held, trained and evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from neuronspec.core.table import Table
from neuronspec.models.settings import ModelSettings
from neuronspec.translation.settings import EvaluationSettings


class Arithmetic(BaseModel):
    """In which types of numbers an arm, or the baseline, was held, trained and evaluated.

    Args:
        weights: type that they are saved in, and that a frozen one is held in while others are trained.
        training: what products were computed in on the machine that trained; None for a checkpoint as it is, and for
            arms of several models.
        evaluation: the engine, what it held the weights in, and what it multiplied them in if that was another type.
    """

    weights: str
    training: str | None = None
    evaluation: str


def arithmetic_of(
    model: ModelSettings,
    evaluation: EvaluationSettings,
    log: Sequence[Mapping[str, Any]],
    *,
    converts: bool = True,
    products: str | None = None,
) -> Arithmetic:
    """What the settings and the log of a training tell of it.

    Args:
        model: that the recipe starts from.
        evaluation: as the recipe has it.
        log: of the training; empty without one.
        converts: whether the `ctranslate2` engine can compute the model; transformers evaluates it otherwise.
        products: what the evaluation tells of its products; None where they are of the weights' type.
    """
    started = next((line for line in log if line["kind"] == "start"), {})
    converted = converts and evaluation.engine == "ctranslate2"
    held = (evaluation.quantization or "float32") if converted else model.dtype
    engine = evaluation.engine if converted else "transformers"
    evaluated = f"{engine}, {held}" + (f" (products in {products})" if products else "")
    return Arithmetic(weights=model.dtype, training=started.get("precision"), evaluation=evaluated)


def arithmetic_table(by_arm: Mapping[str, Arithmetic]) -> Table:
    """By arm, as the report shows it."""
    rows = [[arm, one.weights, one.training or "–", one.evaluation] for arm, one in by_arm.items()]
    return Table("Computed in", ["arm", "weights", "training", "evaluation"], rows)
