"""Figures of the causal check."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from neuronspec.analysis.ablation import Ablation
from neuronspec.report.figures.style import DIVERGING, graph_objects
from neuronspec.report.series import ablation_series

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def ablation_heatmap(ablation: Ablation) -> Figure:
    """The rise of each direction's loss (column) when the neurons of a direction (row) are off.

    The last row has as many random neurons, as a mean over draws.
    """
    go = graph_objects()
    rises = [[loss - dense for loss, dense in zip(row, ablation.dense, strict=True)] for row in ablation.loss]
    draws = len(ablation.random)
    rises.append([sum(draw[i] for draw in ablation.random) / draws - dense for i, dense in enumerate(ablation.dense)])
    names = [escape(name, quote=False) for name in (*ablation.rows, "random")]
    size = max(abs(value) for row in rises for value in row) or 1.0
    figure = go.Figure(
        go.Heatmap(
            z=rises,
            x=ablation.columns,
            y=names,
            zmin=-size,
            zmax=size,
            colorscale=DIVERGING,
            xgap=1,
            ygap=1,
            colorbar={"title": "nats", "thickness": 10},
            hovertemplate="%{y} off: loss of %{x} %{z:+.3f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=max(320, 22 * len(names) + 120),
        xaxis={"title": "loss of", "tickangle": -90, "showgrid": False, "type": "category"},
        yaxis={"title": "neurons off", "autorange": "reversed", "showgrid": False, "type": "category"},
    )
    return figure


def ablation_bars(ablation: Ablation) -> Figure:
    """The rise of each direction's loss without its own neurons, another direction's, and random ones.

    With 95% intervals for other sentences, where the analysis has them.
    """
    go = graph_objects()
    figure = go.Figure()
    for bars in ablation_series(ablation):
        figure.add_trace(
            go.Bar(
                x=ablation.rows,
                y=bars.values,
                name=bars.name,
                marker={"color": bars.color},
                error_y={"array": list(bars.errors), "thickness": 1, "width": 2} if bars.errors else None,
                hovertemplate="%{x}: %{y:+.3f}",
            )
        )
    figure.update_layout(barmode="group", yaxis={"title": "rise of the loss (nats per token)"})
    return figure
