"""Published results beside those of a run: as published, and told apart from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.helpers.fake_run import fake_run

from neuronspec.core.settings import without_added
from neuronspec.report.page.beside import published_section
from neuronspec.report.page.html import render
from neuronspec.report.published import EC30
from neuronspec.report.registry import PUBLISHED
from neuronspec.report.settings import ReportSettings

pytest.importorskip("plotly", reason="the report extra is not installed")
DATA = fake_run({"Germanic": ["de", "nl"], "Romance": ["fr"]})


@pytest.fixture(scope="module")
def section() -> Any:
    return published_section(dataclasses.replace(DATA, published=PUBLISHED.get("ec30")))


def test_what_is_published() -> None:
    assert [round(100 * value, 1) for value in EC30.overlap["encoder"]] == [37.7, 47.9, 52.6, 59.1, 63.0, 65.5]
    assert [round(100 * value, 1) for value in EC30.overlap["decoder"]] == [52.2, 49.7, 41.4, 29.9, 24.1, 25.9]
    assert EC30.scores["bleu"]["specialized"]["all"] == (27.1, 30.9)
    assert EC30.scores["chrf++"]["base"]["low"] == (42.5, 50.0)


def test_the_overlap_is_shown_at_the_published_k(section: Any) -> None:
    overlap, _ = section.blocks
    rows = {row[0]: row[1:] for row in overlap.table.rows}
    assert len(rows) == 12
    assert rows["encoder 1"][1] == 0.377
    assert rows["decoder 6"][1] == 0.259
    assert 0 < rows["encoder 1"][0] <= 1
    assert "k = 0.70, as published" in overlap.caption
    names = [trace["name"] for trace in overlap.content["figure"]["data"]]
    assert {"encoder", "decoder", "encoder, published", "decoder, published"} <= set(names)


def test_scores_by_tier_and_way(section: Any) -> None:
    _, scores = section.blocks
    rows = {tuple(row[:4]): row[4:] for row in scores.table.rows}
    assert len(rows) == 2 * 2 * 4 * 2
    published, own = rows["BLEU", "specialized", "all", "out"]
    results = DATA.results
    assert results is not None
    directions = [
        name for name in results.arms["specialized"] if name.startswith("en-") and name not in results.zero_shot
    ]
    values = [results.arms["specialized"][name].get("bleu") for name in directions]
    assert published == 27.1
    assert own == pytest.approx(sum(value for value in values if value is not None) / len(values), abs=0.06)


def test_the_page_says_what_is_published() -> None:
    page = render(dataclasses.replace(DATA, published=EC30))
    assert "Beside published results" in page
    assert "nothing of them was measured in this run" in page
    assert "Beside published results" not in render(DATA)


def test_reports_without_the_key_stay_up_to_date() -> None:
    assert "reference" not in without_added(ReportSettings(), ReportSettings().model_dump())
    assert ReportSettings(reference="ec30").reference == "ec30"
    with pytest.raises(ValueError, match="ec30"):
        ReportSettings(reference="ec31")
