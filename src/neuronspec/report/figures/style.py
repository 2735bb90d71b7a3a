"""Colours and the import of plotly, shared by all figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuronspec.core.errors import MissingExtraError

COLORS = ["#2a6f97", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#5f6b7a", "#3d9a8b", "#a44a6f", "#7a8b2a", "#4657a8",
          "#c77d3f", "#6b4f3a"]  # fmt: skip
SIDES = {"encoder": COLORS[0], "decoder": COLORS[1], "layers": COLORS[2]}
SCALE = [[0.0, "#f1f5f7"], [0.5, "#5ea0be"], [1.0, "#103252"]]
DIVERGING = [[0.0, "#2a6f97"], [0.5, "#f4f1ea"], [1.0, "#b23a26"]]
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


def family_colors(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, by name."""
    return {name: COLORS[index % len(COLORS)] for index, name in enumerate(sorted(set(families)))}


def transparent(color: str, share: float) -> str:
    """`#rrggbb` as `rgba(...)` with this opacity."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share:g})"
