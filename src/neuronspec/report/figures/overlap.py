"""Heatmaps of overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from neuronspec.analysis.overlap import chance_overlap, other_language, overlap
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.figures.style import SCALE, graph_objects
from neuronspec.report.order import Order, family_bounds, labels, ordered, shown_directions, site_title

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_GAP = 0.3


def overlap_heatmap(
    masks: NeuronMasks,
    site: str | None = None,
    *,
    order: Order = "family",
    pivot: str | None = "en",
    families: Mapping[str, str] | None = None,
) -> Figure:
    """Pairwise intersection over union of the directions' neurons.

    The colours span the values off the diagonal of all sites shown; the diagonal, always 1, is left out.

    Args:
        masks: the masks.
        site: `encoder.N` or `decoder.N`; without it the figure has a slider over all sites.
        order: of the languages: by `family`, with gaps between families and their names, by `cluster` (similar ones
            beside each other), or by `name`.
        pivot: encoder sites show the directions into it, decoder sites those out of it; None shows all.
        families: the family of a language where it isn't the built-in table's.

    Raises:
        MaskError: no such site.
        RecipeError: an unknown order.
        MissingExtraError: plotly isn't installed.
    """
    go = graph_objects()
    panels = {
        name: _heatmap_panel(masks, name, order, pivot, families) for name in ([site] if site else list(masks.sites))
    }
    first = next(iter(panels.values()))
    values = [value for panel in panels.values() for row in panel.data["z"] for value in row if value is not None]
    figure = go.Figure(
        go.Heatmap(
            **first.data,
            coloraxis="coloraxis",
            hovertemplate="%{text}<extra></extra>",
            hoverongaps=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_layout(
        coloraxis={
            "colorscale": SCALE,
            "cmin": min(values, default=0),
            "cmax": max(values, default=1),
            "colorbar": {"title": "IoU", "thickness": 10, "len": 0.5, "x": 0, "xanchor": "left", "y": -0.14,
                         "yanchor": "top", "orientation": "h"},
        },
        height=720,
        margin={"l": 10, "r": 90, "t": 60, "b": 10},
        **first.layout,
    )  # fmt: skip
    if len(panels) > 1:
        steps = [
            {
                "label": site_title(name),
                "method": "update",
                "args": [{key: [value] for key, value in panel.data.items()}, panel.layout],
            }
            for name, panel in panels.items()
        ]
        where = {"x": 0.04, "len": 0.92, "y": 1, "yanchor": "bottom", "pad": {"b": 15}, "tickcolor": "rgba(0,0,0,0)"}
        current = {"prefix": "", "xanchor": "left", "font": {"size": 15}}
        figure.update_layout(sliders=[{"steps": steps, "active": 0, "currentvalue": current, **where}])
    return figure


@dataclass(frozen=True, slots=True)
class _Panel:
    """What the slider changes: `data` of the heatmap, `layout` of the axes."""

    data: dict[str, Any]
    layout: dict[str, Any]


def _heatmap_panel(
    masks: NeuronMasks, site: str, order: Order, pivot: str | None, families: Mapping[str, str] | None
) -> _Panel:
    """A site's matrix, with an empty row and column between families."""
    directions = ordered(shown_directions(masks, site, pivot), order, pivot, families, masks, site)
    bounds = family_bounds(directions, pivot, families) if order == "family" else []
    breaks = {start for _, start, _ in bounds[1:]}
    edges, places = [0.0], []
    lines: list[int | None] = []
    for index in range(len(directions)):
        if index in breaks:
            edges.append(edges[-1] + _GAP)
            lines.append(None)
        places.append(edges[-1] + 0.5)
        edges.append(edges[-1] + 1)
        lines.append(index)
    measured, chance = overlap(masks, site, directions).tolist(), chance_overlap(masks, site, directions).tolist()
    names = labels(directions, pivot)

    def cell(row: int | None, column: int | None, filled: Callable[[int, int], Any]) -> Any:
        return None if row is None or column is None or row == column else filled(row, column)

    def matrix(filled: Callable[[int, int], Any]) -> list[list[Any]]:
        return [[cell(row, column, filled) for column in lines] for row in lines]

    def hover(row: int, column: int) -> str:
        return f"{names[row]} and {names[column]}: {measured[row][column]:.3f} (chance {chance[row][column]:.3f})"

    axis = {"showgrid": False, "zeroline": False, "constrain": "domain", "tickvals": places}
    codes = [other_language(direction, pivot) for direction in directions]
    marks = [
        {"text": escape(family, quote=False), "xref": "x domain", "x": 1.01, "xanchor": "left", "yref": "y",
         "y": (places[start] + places[end - 1]) / 2, "showarrow": False}
        for family, start, end in bounds
    ]  # fmt: skip
    return _Panel(
        data={"z": matrix(lambda r, c: round(measured[r][c], 4)), "text": matrix(hover), "x": edges, "y": edges},
        layout={
            "xaxis": axis | {"ticktext": codes, "range": [0, edges[-1]], "tickangle": -90},
            "yaxis": axis | {"ticktext": names, "range": [edges[-1], 0], "scaleanchor": "x"},
            "annotations": marks,
        },
    )
