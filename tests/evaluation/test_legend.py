"""What the table of arms means, in words."""

from __future__ import annotations

from typing import Any

from neuronspec.evaluation.legend import VARIES, legend
from neuronspec.evaluation.results import Results


def results(**chrf: float) -> Results:
    arms: dict[str, Any] = {
        arm: {name: {"bleu": 1.0, "chrf++": value, "loss": 1.0, "n": 9} for name in ("en-de", "de-en")}
        for arm, value in chrf.items()
    }
    return Results.model_validate(
        {"arms": arms, "signatures": {}, "environment": {}, "pivot": "en", "tiers": {}, "families": {}}
    )


def test_every_row_and_difference_is_explained() -> None:
    lines = legend(results(copy=10, base=30.25, specialized=31.5, dense=32, random=29))
    assert [line.split()[0] for line in lines[:5]] == ["copy", "base", "specialized", "dense", "random"]
    assert [line.rsplit(":", 1)[0] for line in lines[5:-1]] == [
        "base - copy: +20.2 chrF++",
        "dense - base: +1.8 chrF++",
        "specialized - dense: -0.5 chrF++",
        "specialized - random: +2.5 chrF++",
    ]
    assert lines[-1] == VARIES


def test_arms_that_a_run_has_not_are_left_out() -> None:
    lines = legend(results(copy=10, base=30, lora=31))
    assert [line.split()[0] for line in lines] == ["copy", "base", "base", "Scores"]
