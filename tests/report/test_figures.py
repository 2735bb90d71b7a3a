"""The figures carry the right numbers."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
from tests.helpers.fake_run import FAMILIES, FAMILY_OF, fake_log, family_masks

from neuronspec.analysis.overlap import chance_overlap, overlap, overlap_progression, sparsity_table
from neuronspec.core.errors import MaskError, MissingExtraError, RecipeError
from neuronspec.core.languages import name_of
from neuronspec.report import figures

plotly = pytest.importorskip("plotly", reason="the report extra is not installed")
MASKS = family_masks()


def rows_of(axis: dict[str, Any]) -> list[str]:
    return list(axis["ticktext"])


def test_heatmap_shows_the_overlap_with_gaps_between_families() -> None:
    figure = figures.overlap_heatmap(MASKS, "decoder.1").to_plotly_json()
    data, layout = figure["data"][0], figure["layout"]
    codes, names = rows_of(layout["xaxis"]), rows_of(layout["yaxis"])
    assert [name_of(code) for code in codes] == names
    assert [FAMILY_OF[code] for code in codes] == sorted(FAMILY_OF[code] for code in codes)
    expected = overlap(MASKS, "decoder.1", [f"en-{code}" for code in codes])
    chance = chance_overlap(MASKS, "decoder.1", [f"en-{code}" for code in codes])
    filled = [index for index, row in enumerate(data["z"]) if any(value is not None for value in row)]
    assert len(data["z"]) - len(filled) == len(FAMILIES) - 1
    for row, line in enumerate(filled):
        for column, cell in enumerate(filled):
            value = data["z"][line][cell]
            if row == column:
                assert value is None
            else:
                iou, by_chance = float(expected[row, column]), float(chance[row, column])
                assert value == pytest.approx(iou, abs=1e-4)
                shown = f"{names[row]} and {names[column]}: {iou:.3f} (chance {by_chance:.3f})"
                assert data["text"][line][cell] == shown
    centres = [(low + high) / 2 for low, high in zip(data["x"], data["x"][1:], strict=False)]
    assert [centres[line] for line in filled] == pytest.approx(list(layout["xaxis"]["tickvals"]))
    assert {mark["text"] for mark in layout["annotations"]} == set(FAMILIES)


def test_the_slider_reaches_every_site_on_one_scale() -> None:
    figure = figures.overlap_heatmap(MASKS).to_plotly_json()
    steps = figure["layout"]["sliders"][0]["steps"]
    assert [step["label"] for step in steps] == [f"{side} {n}" for side in ("encoder", "decoder") for n in (1, 2, 3)]
    for site, step in zip(MASKS.sites, steps, strict=True):
        alone = figures.overlap_heatmap(MASKS, site).to_plotly_json()
        assert step["args"][0]["z"][0] == alone["data"][0]["z"]
        assert step["args"][1]["xaxis"]["ticktext"] == alone["layout"]["xaxis"]["ticktext"]
    values = [value for step in steps for row in step["args"][0]["z"][0] for value in row if value is not None]
    axis = figure["layout"]["coloraxis"]
    assert (axis["cmin"], axis["cmax"]) == (min(values), max(values))


def test_heatmap_by_name_has_no_gaps() -> None:
    figure = figures.overlap_heatmap(MASKS, "encoder.0", order="name").to_plotly_json()
    assert len(figure["data"][0]["z"]) == len(FAMILY_OF)
    names = rows_of(figure["layout"]["yaxis"])
    assert names == sorted(names) and not figure["layout"].get("annotations")


def test_heatmap_takes_the_callers_families() -> None:
    figure = figures.overlap_heatmap(MASKS, "encoder.0", families=dict.fromkeys(FAMILY_OF, "One")).to_plotly_json()
    assert [mark["text"] for mark in figure["layout"]["annotations"]] == ["One"]


def test_wrong_names_are_errors() -> None:
    with pytest.raises(MaskError, match=r"did you mean 'decoder.1'"):
        figures.overlap_heatmap(MASKS, "decodr.1")
    with pytest.raises(RecipeError, match="did you mean 'family'"):
        figures.overlap_heatmap(MASKS, "decoder.1", order="familys")  # type: ignore[arg-type]


def test_progression_has_measure_and_chance_of_both_sides() -> None:
    traces = {trace["name"]: trace for trace in figures.overlap_progression_lines(MASKS, "en").to_plotly_json()["data"]}
    rows = overlap_progression(MASKS, "en")
    parts = ("{}, quartiles", "{}", "{}, by chance")
    assert list(traces) == [part.format(side) for side in ("encoder", "decoder") for part in parts]
    for side in ("encoder", "decoder"):
        own = [row for row in rows if row.site.startswith(side)]
        assert list(traces[side]["x"]) == [1, 2, 3]
        assert list(traces[side]["y"]) == [row.mean for row in own]
        assert list(traces[f"{side}, by chance"]["y"]) == [row.chance for row in own]
        band = list(traces[f"{side}, quartiles"]["y"])
        assert band == [row.quartiles[2] for row in own] + [row.quartiles[0] for row in own][::-1]


def test_sparsity_has_a_point_for_every_direction_and_site() -> None:
    boxes = figures.sparsity_by_layer(MASKS).to_plotly_json()["data"]
    table = sparsity_table(MASKS)
    assert len(boxes) == len(MASKS.sites)
    for site, box in zip(MASKS.sites, boxes, strict=True):
        assert dict(zip(box["text"], box["y"], strict=True)) == {name: table[name][site] for name in table}


def test_curves_continue_where_base_ends() -> None:
    logs = {"base": fake_log(6.0, 400), "dense": fake_log(4.7, 200), "random": []}
    traces = {trace["name"]: trace for trace in figures.training_curves(logs).to_plotly_json()["data"]}
    assert list(traces["base"]["x"]) == [100, 200, 300, 400]
    assert list(traces["dense"]["x"]) == [500, 600]
    expected = [line["loss"] for line in logs["dense"] if line["kind"] == "validation"]
    assert list(traces["dense"]["y"]) == expected
    assert len(traces["random"]["x"]) == 0


def test_without_plotly_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("plotly"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(MissingExtraError, match=r"pip install 'neuronspec\[report\]'"):
        figures.sparsity_by_layer(MASKS)
