"""What figures draw, before plotly or matplotlib."""

from __future__ import annotations

import pytest
from tests.helpers.fake_run import fake_run

from neuronspec.report.numbers import compute
from neuronspec.report.series import (
    SHARING,
    family_series,
    progression_series,
    sharing_series,
    stability_series,
)

SMALL = {"Germanic": ["de", "nl"], "Romance": ["fr", "es"]}


def test_lines_of_both_sides_with_bands_and_chance() -> None:
    data = fake_run(SMALL)
    numbers = compute(data.masks, "en", data.families)
    lines = progression_series(numbers.progression)
    assert [line.name for line in lines] == ["encoder", "encoder, by chance", "decoder", "decoder, by chance"]
    for mean, chance in (lines[:2], lines[2:]):
        assert mean.x == chance.x == [1, 2, 3]
        assert all(low <= high for low, high in zip(mean.low, mean.high, strict=True))
        assert (mean.style, chance.style, len(chance.low)) == ("solid", "dotted", 0)


def test_shares_add_up() -> None:
    data = fake_run(SMALL)
    rows = [site.sharing for site in compute(data.masks, "en", data.families).sites]
    bars = sharing_series(rows)
    assert [bar.name for bar in bars] == list(SHARING.values())
    for at, row in enumerate(rows):
        assert sum(bar.values[at] for bar in bars) == pytest.approx(1)
        assert sum(bar.counts[at] for bar in bars) == row.width


def test_marks_are_the_corrected_p_of_each_layer() -> None:
    data = fake_run(SMALL)
    sites = compute(data.masks, "en", data.families).of("decoder")
    within, between = family_series(sites)
    assert within.p == between.p == [site.adjusted for site in sites]
    assert within.marked == [site.adjusted is not None and site.adjusted < 0.05 for site in sites]


def test_stability_is_a_mean_over_sites_and_seeds() -> None:
    data = fake_run(SMALL)
    assert data.findings is not None
    rows = data.findings.stability
    line = stability_series(rows)[0]
    own = [row.iou for row in rows if row.site.startswith(f"{line.side}.") and row.share == line.x[0]]
    assert line.y[0] == pytest.approx(sum(own) / len(own))
    assert line.x == sorted({row.share for row in rows})
