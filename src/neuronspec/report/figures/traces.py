"""From the described lines of figures to plotly's traces."""

from __future__ import annotations

from typing import Any

from neuronspec.report.figures.style import graph_objects
from neuronspec.report.series import Line

_DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot"}


def scatter(line: Line, /, **options: Any) -> Any:
    """A line with markers, which are filled where its test is significant.

    Args:
        line: what to draw.
        options: of `plotly.graph_objects.Scatter`, in place of those from the line.
    """
    drawn: dict[str, Any] = {
        "x": line.x,
        "y": line.y,
        "name": line.name,
        "mode": "lines+markers",
        "line": {"color": line.color, "dash": _DASHES[line.style]},
        "hovertemplate": "%{y:.3f}",
    }
    if line.p:
        symbols = ["circle" if marked else "circle-open" for marked in line.marked]
        drawn |= {
            "text": ["" if p is None else f"p = {p:.3g}" for p in line.p],
            "marker": {"size": 9, "symbol": symbols},
            "hovertemplate": "%{y:.3f} %{text}",
        }
    return graph_objects().Scatter(**drawn | options)
