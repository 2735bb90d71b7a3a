"""What results say of the types of numbers that an arm was computed in."""

from __future__ import annotations

import pytest

from neuronspec.evaluation.arithmetic import Arithmetic, arithmetic_of, arithmetic_table
from neuronspec.models.settings import ModelSettings
from neuronspec.translation.settings import EvaluationSettings

NARROW = ModelSettings(pretrained="someone/model", dtype="bfloat16")
LOG = [
    {"kind": "start", "update": 0, "seconds": 0.0, "precision": "bf16"},
    {"kind": "end", "update": 3, "seconds": 1.0},
]
CT2 = EvaluationSettings(engine="ctranslate2", quantization="int8")


@pytest.mark.parametrize(
    ("model", "evaluation", "log", "converts", "expected"),
    [
        (NARROW, EvaluationSettings(), LOG, True, ("bfloat16", "bf16", "transformers, bfloat16")),
        (NARROW, EvaluationSettings(), [], True, ("bfloat16", None, "transformers, bfloat16")),
        (ModelSettings(), EvaluationSettings(), LOG, True, ("float32", "bf16", "transformers, float32")),
        (NARROW, CT2, LOG, True, ("bfloat16", "bf16", "ctranslate2, int8")),
        (NARROW, CT2, LOG, False, ("bfloat16", "bf16", "transformers, bfloat16")),
        (
            NARROW,
            EvaluationSettings(engine="ctranslate2"),
            LOG,
            True,
            ("bfloat16", "bf16", "ctranslate2, float32"),
        ),
    ],
)
def test_settings_and_log_tell_it(
    model: ModelSettings, evaluation: EvaluationSettings, log: list[dict[str, object]], converts: bool, expected: tuple
) -> None:
    weights, training, evaluated = expected
    assert arithmetic_of(model, evaluation, log, converts=converts) == Arithmetic(
        weights=weights, training=training, evaluation=evaluated
    )


def test_products_of_another_type_are_named() -> None:
    found = arithmetic_of(ModelSettings(), EvaluationSettings(), LOG, products="bf16")
    assert found.evaluation == "transformers, float32 (products in bf16)"


def test_the_table_has_a_row_for_each_arm() -> None:
    arms = {"base": arithmetic_of(NARROW, CT2, []), "dense": arithmetic_of(NARROW, CT2, LOG)}
    assert arithmetic_table(arms).rows == [
        ["base", "bfloat16", "–", "ctranslate2, int8"],
        ["dense", "bfloat16", "bf16", "ctranslate2, int8"],
    ]
