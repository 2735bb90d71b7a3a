"""Figures of structure: trees and maps of languages, families, distances between languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from neuronspec.analysis.structure import branches
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.colors import COLORS, family_colors
from neuronspec.report.figures.style import SYMBOLS, graph_objects
from neuronspec.report.figures.traces import scatter
from neuronspec.report.numbers import SiteNumbers, site_numbers
from neuronspec.report.series import family_series, uriel_series

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def language_tree(
    masks: NeuronMasks, site: str, *, pivot: str | None = "en", families: Mapping[str, str] | None = None
) -> Figure:
    """The clustering of the directions' neurons at a site (average linkage of 1 - IoU), coloured by family.

    Raises:
        MaskError: no such site.
        MissingExtraError: plotly isn't installed.
    """
    return tree_figure(site_numbers(masks, site, pivot, families or {}))


def tree_figure(numbers: SiteNumbers) -> Figure:
    """As `language_tree`, from the numbers of a site."""
    go = graph_objects()
    figure = go.Figure()
    x: list[float | None] = []
    y: list[float | None] = []
    for places, heights in branches(numbers.tree):
        x += [*heights, None]
        y += [*places, None]
    figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": COLORS[5], "width": 1.4}, hoverinfo="skip"))
    colors = family_colors(numbers.families)
    leaves = numbers.tree.leaves
    top = max((float(merge[2]) for merge in numbers.tree.merges), default=0.0) or 1.0
    figure.add_trace(
        go.Scatter(
            x=[0.0] * len(leaves),
            y=list(range(len(leaves))),
            mode="markers",
            marker={"size": 9, "color": [colors[numbers.families[leaf]] for leaf in leaves]},
            text=[f"{numbers.names[leaf]} ({numbers.families[leaf]})" for leaf in leaves],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.update_layout(
        showlegend=False,
        height=max(320, 18 * len(leaves) + 90),
        xaxis={"title": "1 - IoU", "range": [-0.015 * top, 1.03 * top], "zeroline": False},
        yaxis={
            "tickvals": list(range(len(leaves))),
            "ticktext": [escape(numbers.names[leaf], quote=False) for leaf in leaves],
            "showgrid": False,
            "zeroline": False,
            "range": [len(leaves) - 0.5, -0.5],
        },
    )
    return figure


def language_map(
    masks: NeuronMasks, site: str, *, pivot: str | None = "en", families: Mapping[str, str] | None = None
) -> Figure:
    """The directions in the plane so that their distances 1 - IoU are kept as well as may be (classical scaling).

    Raises:
        MaskError: no such site.
        MissingExtraError: plotly isn't installed.
    """
    return map_figure(site_numbers(masks, site, pivot, families or {}))


def map_figure(numbers: SiteNumbers) -> Figure:
    """As `language_map`, from the numbers of a site."""
    go = graph_objects()
    figure = go.Figure()
    colors = family_colors(numbers.families)
    for index, (name, color) in enumerate(colors.items()):
        members = [place for place, family in enumerate(numbers.families) if family == name]
        figure.add_trace(
            go.Scatter(
                x=[float(numbers.plane.points[member, 0]) for member in members],
                y=[float(numbers.plane.points[member, 1]) for member in members],
                text=[escape(numbers.codes[member], quote=False) for member in members],
                customdata=[numbers.names[member] for member in members],
                name=escape(name, quote=False),
                mode="markers+text",
                textposition="top center",
                textfont={"size": 11},
                marker={"size": 10, "color": color, "symbol": SYMBOLS[index % len(SYMBOLS)]},
                hovertemplate="%{customdata}",
            )
        )
    first, second = numbers.plane.share
    figure.update_layout(
        height=520,
        xaxis={"title": f"first axis ({first:.0%} of the inertia)", "zeroline": False},
        yaxis={"title": f"second axis ({second:.0%})", "zeroline": False, "scaleanchor": "x"},
    )
    return figure


def family_lines(sites: Sequence[SiteNumbers]) -> Figure:
    """Overlap of equally many neurons within and between families, by site; filled: after Holm's correction."""
    go = graph_objects()
    figure = go.Figure()
    for line in family_series(sites):
        figure.add_trace(scatter(line, x=[site.title for site in sites], line={"color": line.color}))
    figure.update_layout(yaxis={"title": "IoU, equally many neurons", "rangemode": "tozero"}, hovermode="x unified")
    return figure


def uriel_lines(sites: Sequence[SiteNumbers]) -> Figure:
    """Correlation of 1 - overlap with URIEL's distances, by site; filled: above 0 at p < 0.05 (Mantel)."""
    go = graph_objects()
    figure = go.Figure()
    for line in uriel_series(sites):
        figure.add_trace(scatter(line, x=[site.title for site in sites]))
    figure.update_layout(yaxis={"title": "correlation (Mantel's r)"}, hovermode="x unified")
    return figure
