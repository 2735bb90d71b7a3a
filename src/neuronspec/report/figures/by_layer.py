"""Figures over layers: progression, sparsity, sharing, families, coverage, drift, stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neuronspec.analysis.coverage import CoverageCurve, CoverageEffect
from neuronspec.analysis.drift import StabilityRow
from neuronspec.analysis.findings import DriftSummary
from neuronspec.analysis.overlap import LayerOverlap, overlap_progression, sparsity_table
from neuronspec.analysis.sharing import SharingRow
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.colors import COLORS, SIDES, arm_colors
from neuronspec.report.figures.style import graph_objects, transparent
from neuronspec.report.figures.traces import scatter
from neuronspec.report.order import site_title
from neuronspec.report.series import effect_series, progression_series, sharing_series, stability_series

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def overlap_progression_lines(masks: NeuronMasks, pivot: str | None) -> Figure:
    """Mean pairwise IoU layer by layer, in the encoder into the pivot and in the decoder out of it.

    With the quartiles of the pairs and the level of random masks of the same sizes (Tan et al., 2024, figure 4).
    """
    return progression_lines(overlap_progression(masks, pivot or ""))


def progression_lines(rows: Sequence[LayerOverlap]) -> Figure:
    """As `overlap_progression_lines`, from the table."""
    go = graph_objects()
    figure = go.Figure()
    for line in progression_series(rows):
        if line.low:
            figure.add_trace(
                go.Scatter(
                    x=line.x + line.x[::-1],
                    y=[*line.high, *line.low[::-1]],
                    name=f"{line.side}, quartiles",
                    fill="toself",
                    mode="lines",
                    fillcolor=transparent(line.color, 0.15),
                    line={"width": 0},
                    hoverinfo="skip",
                    legendgroup=line.side,
                )
            )
        mode = "lines+markers" if line.style == "solid" else "lines"
        figure.add_trace(scatter(line, mode=mode, legendgroup=line.side))
    figure.update_layout(
        xaxis={"title": "layer", "dtick": 1},
        yaxis={"title": "pairwise IoU", "rangemode": "tozero"},
        hovermode="x unified",
    )
    return figure


def sparsity_by_layer(masks: NeuronMasks) -> Figure:
    """The share of unselected neurons at each site: a box over directions, with one point per direction."""
    go = graph_objects()
    table = sparsity_table(masks)
    figure = go.Figure()
    for site in masks.sites:
        color = SIDES[site.partition(".")[0]]
        figure.add_trace(
            go.Box(
                y=[table[direction][site] for direction in table],
                text=list(table),
                name=site_title(site),
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


def sharing_bars(rows: Sequence[SharingRow]) -> Figure:
    """Who uses the neurons of each site: shares of all, stacked."""
    go = graph_objects()
    figure = go.Figure()
    for bars in sharing_series(rows):
        figure.add_trace(
            go.Bar(
                x=[site_title(row.site) for row in rows],
                y=bars.values,
                customdata=bars.counts,
                name=bars.name,
                marker={"color": bars.color},
                hovertemplate="%{x}: %{customdata} neurons, %{y:.1%}",
            )
        )
    figure.update_layout(barmode="stack", yaxis={"title": "share of neurons", "tickformat": ".0%", "range": [0, 1]})
    return figure


def coverage_curves(curves: Sequence[CoverageCurve], coverage: float | None = None) -> Figure:
    """Share of activation that the most active neurons carry, one line per site; `coverage` draws k."""
    go = graph_objects()
    figure = go.Figure()
    for side in dict.fromkeys(curve.site.partition(".")[0] for curve in curves):
        own = [curve for curve in curves if curve.site.startswith(f"{side}.")]
        for index, curve in enumerate(own):
            figure.add_trace(
                go.Scatter(
                    x=curve.neurons,
                    y=curve.mean,
                    name=site_title(curve.site),
                    mode="lines",
                    line={"color": SIDES[side], "width": 1 + 2 * (index + 1) / len(own)},
                    hovertemplate="%{y:.1%} by %{x:.0%} of the neurons",
                )
            )
    if coverage is not None:
        figure.add_hline(y=coverage, line={"dash": "dot", "color": COLORS[5], "width": 1})
    figure.update_layout(
        xaxis={"title": "share of neurons, most active first", "tickformat": ".0%"},
        yaxis={"title": "share of activation", "tickformat": ".0%", "range": [0, 1.02]},
    )
    return figure


def effect_of_coverage_lines(effects: Sequence[CoverageEffect]) -> Figure:
    """Sparsity, and overlap in the first and the last layer, against k."""
    go = graph_objects()
    figure = go.Figure()
    for line in effect_series(effects):
        figure.add_trace(scatter(line, name=f"{line.side}: {line.name}"))
    figure.update_layout(
        xaxis={"title": "coverage k", "tickvals": sorted({effect.coverage for effect in effects})},
        yaxis={"title": "share", "range": [0, 1.02]},
        hovermode="x unified",
    )
    return figure


def drift_lines(summaries: Sequence[DriftSummary], colors: Mapping[str, str] | None = None) -> Figure:
    """Mean IoU of a direction's masks with those recorded again from each continuation, by site.

    Args:
        summaries: one per continuation.
        colors: by continuation.
    """
    colors = colors or arm_colors(summary.model for summary in summaries)
    go = graph_objects()
    figure = go.Figure()
    for summary in summaries:
        figure.add_trace(
            go.Bar(
                x=[site_title(site) for site in summary.iou],
                y=list(summary.iou.values()),
                name=summary.model,
                marker={"color": colors[summary.model]},
                hovertemplate="%{x}: %{y:.3f}",
            )
        )
    figure.update_layout(barmode="group", yaxis={"title": "IoU before and after", "range": [0, 1]})
    return figure


def stability_lines(rows: Sequence[StabilityRow]) -> Figure:
    """Overlap of masks from a part of the text with those of all of it, and with those of as much other text."""
    go = graph_objects()
    figure = go.Figure()
    for line in stability_series(rows):
        figure.add_trace(scatter(line))
    figure.update_layout(
        xaxis={"title": "share of the recording text", "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={"title": "IoU of a direction's masks"},
        hovermode="x unified",
    )
    return figure


def training_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], colors: Mapping[str, str] | None = None) -> Figure:
    """Validation loss (nats per token) over updates, one line per training; continuations start where `base` ends.

    Args:
        logs: by name (`base` and arms) the lines of its `log.jsonl`.
        colors: by name.
    """
    colors = colors or arm_colors(logs)
    go = graph_objects()
    figure = go.Figure()
    base_end = max((line["update"] for line in logs.get("base", [])), default=0)
    for name, lines in logs.items():
        points = [(line["update"], line["loss"]) for line in lines if line.get("kind") == "validation"]
        start = 0 if name == "base" else base_end
        figure.add_trace(
            go.Scatter(
                x=[update + start for update, _ in points],
                y=[loss for _, loss in points],
                name=name,
                mode="lines+markers",
                line={"color": colors[name]},
                hovertemplate="%{y:.3f}",
            )
        )
    figure.update_layout(
        xaxis={"title": "updates"}, yaxis={"title": "validation loss (nats per token)"}, hovermode="x unified"
    )
    return figure
