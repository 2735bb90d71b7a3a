"""Scales, symbols and the import of plotly, shared by all plotly figures."""

from __future__ import annotations

from typing import Any

from neuronspec.core.errors import MissingExtraError

SCALE = [[0.0, "#f1f5f7"], [0.5, "#5ea0be"], [1.0, "#103252"]]
DIVERGING = [[0.0, "#2c759f"], [0.5, "#f4f1ea"], [1.0, "#c6412a"]]
SYMBOLS = ["circle", "square", "diamond", "cross", "triangle-up", "star", "x", "triangle-down", "pentagon", "hexagon"]


def graph_objects() -> Any:
    """`plotly.graph_objects`.

    Raises:
        MissingExtraError: plotly isn't installed.
    """
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise MissingExtraError("plotly", "report", "drawing figures") from None
    return go


def transparent(color: str, share: float) -> str:
    """`#rrggbb` as `rgba(...)` with this opacity."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:g})"
