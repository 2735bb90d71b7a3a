"""Tables: averages, what is missing, gains, groups."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import (
    arms_table,
    average,
    directions_table,
    families_table,
    other_scores_table,
    tiers_table,
)


def cell(chrf: float | None, loss: float | None = 2.0) -> dict[str, Any]:
    return {"bleu": None if chrf is None else chrf / 2, "chrf++": chrf, "loss": loss, "n": 10}


RESULTS = Results.model_validate(
    {
        "arms": {
            "copy": {"en-de": cell(10, None), "de-en": cell(12, None), "en-fr": cell(8, None), "de-fr": cell(9, None)},
            "base": {"en-de": cell(40), "de-en": cell(44), "en-fr": cell(30), "de-fr": cell(20)},
            "specialized": {"en-de": cell(42, 1.5), "de-en": cell(47.25, 1.75), "en-fr": cell(33)},
            "dense": {"en-de": cell(41), "de-en": cell(45), "en-fr": cell(34), "de-fr": cell(21)},
        },
        "signatures": {},
        "environment": {},
        "pivot": "en",
        "tiers": {"high": ["de"], "medium": [], "low": ["fr"]},
        "families": {"de": "Germanic", "fr": "Romance"},
    }
)


def rows(table: Any) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table.rows}


def test_average_counts_what_is_missing() -> None:
    arms = RESULTS.arms
    found = average(arms["specialized"], ["en-de", "de-en", "de-fr"], "chrf++")
    assert (found.value, found.n, found.of) == (44.625, 2, 3)
    assert found.show(1) == "44.6 (2 of 3)"
    assert average(arms["copy"], ["en-de"], "loss").show(3) == "–"
    assert average({}, ["en-de"], "bleu").value is None
    assert average(arms["base"], ["en-de", "de-en"], "chrf++").show(1) == "42.0"


def test_arms_with_gains_and_missing_directions() -> None:
    table = arms_table(RESULTS)
    assert table.title == "Arms, mean of 4 directions"
    assert table.columns == ["arm", "BLEU", "chrF++", "loss", "chrF++ over base", "chrF++ over dense"]
    found = rows(table)
    assert found["copy"] == ["4.9", "9.8", "–", "", ""]
    assert found["base"] == ["16.8", "33.5", "2.000", "", "-1.8"]
    assert found["dense"] == ["17.6", "35.2", "2.000", "+1.8", ""]
    # Over base: +2, +3.25, +3 in three of the four directions; over dense: +1, +2.25, -1.
    assert found["specialized"] == [
        "20.4 (3 of 4)",
        "40.8 (3 of 4)",
        "1.750 (3 of 4)",
        "+2.8 (3 of 4)",
        "+0.8 (3 of 4)",
    ]


def test_tiers_by_way_past_the_pivot() -> None:
    table = tiers_table(RESULTS)
    assert table.columns == [
        "arm", "high out (1)", "high into (1)", "low out (1)", "all out (2)", "all into (1)", "past the pivot (1)",
    ]  # fmt: skip
    assert rows(table)["base"] == ["40.0", "44.0", "30.0", "35.0", "44.0", "20.0"]
    assert rows(table)["specialized"] == ["42.0", "47.2", "33.0", "37.5", "47.2", "–"]
    assert "2.000" in rows(tiers_table(RESULTS, "loss"))["base"]


def test_families_and_directions() -> None:
    found = families_table(RESULTS)
    assert found.columns[1:] == ["Germanic (3)", "Romance (1)"]
    assert rows(found)["specialized"] == ["44.6 (2 of 3)", "33.0"]
    table = directions_table(RESULTS, "bleu")
    assert table.columns == ["direction", "languages", "copy", "base", "specialized", "dense"]
    assert [row[0] for row in table.rows] == ["de-en", "de-fr", "en-de", "en-fr"]
    assert rows(table)["de-fr"] == ["German → French", "4.5", "10.0", "–", "10.5"]


@pytest.mark.parametrize("make", [arms_table, tiers_table, families_table, directions_table])
def test_tables_print(make: Any) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(make(RESULTS).to_rich())
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert make(RESULTS).title in printed
    assert all(row[0] in printed for row in make(RESULTS).rows)


def test_why_a_score_is_left_out_is_said_once_below_the_table() -> None:
    reason = "not into th: it counts words, which have no spaces between them there"
    skipped = {"ter": reason, "off_target": "py3langid can't distinguish: ti"}
    table = other_scores_table(RESULTS.model_copy(update={"skipped": skipped}))
    assert table.note == f"Left out: TER: {reason}; off-target %: py3langid can't distinguish: ti"
    assert table.to_markdown().count("it counts words") == 1
    assert other_scores_table(RESULTS).note == ""
