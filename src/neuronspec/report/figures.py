"""Figures of neurons and training, as plotly figures for notebooks and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neuronspec.errors import MissingExtraError
from neuronspec.neurons import NeuronMasks, overlap, overlap_progression, sparsity_table
from neuronspec.report.order import Order, family_bounds, label, ordered, shown_directions

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLORS = ["#2a6f97", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#5f6b7a"]
_SCALE = [[0.0, "#f4f1ea"], [0.5, "#7fb3c8"], [1.0, "#173f5f"]]


def overlap_heatmap(
    masks: NeuronMasks,
    site: str | None = None,
    *,
    order: Order = "family",
    pivot: str | None = "en",
    families: Mapping[str, str] | None = None,
) -> Figure:
    """Pairwise intersection over union of the directions' neurons.

    Args:
        masks: the masks.
        site: `encoder.N` or `decoder.N`; without it the figure has a slider over all sites.
        order: of the languages: by `family`, or by `name`.
        pivot: encoder sites show the directions into it, decoder sites those out of it; None shows all.
        families: the family of a language where it isn't the built-in table's.

    Raises:
        MaskError: no such site.
        RecipeError: an unknown order.
        MissingExtraError: plotly isn't installed.
    """
    go = _plotly()
    sites = [site] if site else list(masks.sites)
    panels = [_heatmap_panel(masks, name, order, pivot, families) for name in sites]
    values, names, lines = panels[0]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            colorscale=_SCALE,
            colorbar={"title": "IoU", "thickness": 12},
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )
    figure.update_layout(
        title=sites[0],
        yaxis={"autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
        xaxis={"constrain": "domain", "tickangle": -45},
        shapes=lines,
        height=560,
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
    )
    if len(sites) > 1:
        steps = [
            {
                "label": name,
                "method": "update",
                "args": [{"z": [z], "x": [x], "y": [x]}, {"title.text": name, "shapes": shapes}],
            }
            for name, (z, x, shapes) in zip(sites, panels, strict=True)
        ]
        figure.update_layout(
            sliders=[{"steps": steps, "active": 0, "currentvalue": {"visible": False}, "pad": {"t": 90}}]
        )
    return figure


def _heatmap_panel(
    masks: NeuronMasks, site: str, order: Order, pivot: str | None, families: Mapping[str, str] | None
) -> tuple[list[list[float]], list[str], list[dict[str, Any]]]:
    """Values, labels, and the lines between families."""
    directions = ordered(shown_directions(masks, site, pivot), order, pivot, families)
    values = overlap(masks, site, directions)
    lines = []
    if order == "family":
        for _, start, _ in family_bounds(directions, pivot, families)[1:]:
            at, end = start - 0.5, len(directions) - 0.5
            line = {"type": "line", "line": {"color": "#ffffff", "width": 2}}
            lines += [
                line | {"x0": at, "x1": at, "y0": -0.5, "y1": end},
                line | {"y0": at, "y1": at, "x0": -0.5, "x1": end},
            ]
    return [[round(float(v), 4) for v in row] for row in values], [label(d, pivot) for d in directions], lines


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
            line = {"color": color, "dash": dash}
            figure.add_trace(go.Scatter(x=layers, y=values, name=name, mode="lines+markers", line=line))
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1}, yaxis={"title": "mean pairwise IoU", "rangemode": "tozero"}
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
                name=site,
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
            )
        )
    figure.update_layout(xaxis={"title": "updates"}, yaxis={"title": "validation loss (nats a token)"})
    return figure


def _plotly() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise MissingExtraError("plotly", "report", "drawing figures") from None
    return go
