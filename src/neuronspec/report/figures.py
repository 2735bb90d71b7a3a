"""Figures of neurons and training, as plotly figures for notebooks and the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from neuronspec.errors import MissingExtraError
from neuronspec.neurons import NeuronMasks, chance_overlap, overlap, overlap_progression, sparsity_table
from neuronspec.report.order import Order, family_bounds, label, ordered, other_language, shown_directions

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLORS = ["#2a6f97", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#5f6b7a"]
SCALE = [[0.0, "#f1f5f7"], [0.5, "#5ea0be"], [1.0, "#103252"]]
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
        order: of the languages: by `family`, with gaps between families and their names, or by `name`.
        pivot: encoder sites show the directions into it, decoder sites those out of it; None shows all.
        families: the family of a language where it isn't the built-in table's.

    Raises:
        MaskError: no such site.
        RecipeError: an unknown order.
        MissingExtraError: plotly isn't installed.
    """
    go = _plotly()
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
                "label": _site_title(name),
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
    directions = ordered(shown_directions(masks, site, pivot), order, pivot, families)
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
    names = [label(direction, pivot) for direction in directions]

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


def _site_title(site: str) -> str:
    """`encoder 1` of `encoder.0`: layers are counted from 1 for readers."""
    side, _, layer = site.partition(".")
    return f"{side} {int(layer) + 1}"


def overlap_progression_lines(masks: NeuronMasks, pivot: str) -> Figure:
    """Mean pairwise IoU layer by layer, in the encoder into the pivot and in the decoder out of it, with the level
    that random masks of the same sizes would have (Tan et al., 2024, figure 4)."""
    go = _plotly()
    figure = go.Figure()
    rows = [row for row in overlap_progression(masks, pivot) if row.mean is not None]
    for color, side in zip(COLORS, dict.fromkeys(row.site.partition(".")[0] for row in rows), strict=False):
        own = [row for row in rows if row.site.startswith(f"{side}.")]
        layers = [int(row.site.partition(".")[2]) + 1 for row in own]
        for name, values, dash in (
            (side, [row.mean for row in own], "solid"),
            (f"{side}, by chance", [row.chance for row in own], "dot"),
        ):
            figure.add_trace(
                go.Scatter(
                    x=layers,
                    y=values,
                    name=name,
                    mode="lines+markers" if dash == "solid" else "lines",
                    line={"color": color, "dash": dash},
                    hovertemplate="%{y:.3f}",
                )
            )
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1},
        yaxis={"title": "mean pairwise IoU", "rangemode": "tozero"},
        hovermode="x unified",
    )
    return figure


def sparsity_by_layer(masks: NeuronMasks) -> Figure:
    """The share of unselected neurons at each site: a box over directions, with a point a direction."""
    go = _plotly()
    table = sparsity_table(masks)
    figure = go.Figure()
    for site in masks.sites:
        color = COLORS[0] if site.startswith("encoder") else COLORS[1]
        figure.add_trace(
            go.Box(
                y=[table[direction][site] for direction in table],
                text=list(table),
                name=_site_title(site),
                boxpoints="all",
                pointpos=0,
                jitter=0.5,
                marker={"size": 4, "color": color},
                line={"color": color},
                hovertemplate="%{text}: %{y:.1%}<extra></extra>",
                showlegend=False,
            )
        )
    figure.update_layout(yaxis={"title": "sparsity", "tickformat": ".0%", "rangemode": "tozero"})
    return figure


def training_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Validation loss (nats a token) over updates, a line a training; continuations start where `base` ends.

    Args:
        logs: by name (`base` and arms) the lines of its `log.jsonl`.
    """
    go = _plotly()
    figure = go.Figure()
    base_end = max((line["update"] for line in logs.get("base", [])), default=0)
    for index, (name, lines) in enumerate(logs.items()):
        points = [(line["update"], line["loss"]) for line in lines if line.get("kind") == "validation"]
        start = 0 if name == "base" else base_end
        figure.add_trace(
            go.Scatter(
                x=[update + start for update, _ in points],
                y=[loss for _, loss in points],
                name=name,
                mode="lines+markers",
                line={"color": COLORS[index % len(COLORS)]},
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_layout(
        xaxis={"title": "updates"}, yaxis={"title": "validation loss (nats a token)"}, hovermode="x unified"
    )
    return figure


def _plotly() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise MissingExtraError("plotly", "report", "drawing figures") from None
    return go
