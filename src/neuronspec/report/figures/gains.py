"""Figures of what arms gain, over the baseline and where they were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from neuronspec.report.colors import COLORS
from neuronspec.report.figures.style import SYMBOLS, graph_objects
from neuronspec.report.gains import Gain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def gain_dots(gains: Sequence[Gain], colors: Mapping[str, str], over: str = "base") -> Figure:
    """One row per arm: its mean gain in chrF++ over another arm, with the 95% interval.

    Args:
        gains: one per arm.
        colors: by arm.
        over: the other arm.
    """
    go = graph_objects()
    figure = go.Figure()
    for gain in gains:
        figure.add_trace(
            go.Scatter(
                x=[gain.value],
                y=[escape(gain.arm, quote=False)],
                name=escape(gain.arm, quote=False),
                mode="markers",
                marker={"size": 13, "color": colors[gain.arm]},
                error_x=_bar([gain], colors[gain.arm]),
                hovertemplate=f"%{{x:+.2f}}<br>{gain.sure}<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": COLORS[5], "width": 1})
    figure.update_layout(
        height=130 + 44 * len(gains),
        showlegend=False,
        xaxis={"title": f"chrF++ gained over {escape(over, quote=False)}", "tickformat": "+.1f", "zeroline": False},
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
    )
    return figure


def adaptation_plane(adapted: Sequence[Gain], others: Sequence[Gain], colors: Mapping[str, str]) -> Figure:
    """Each arm's gain where it was trained (up) against its change elsewhere (right), with 95% intervals.

    Args:
        adapted: in the directions that arms were trained on.
        others: in the others.
        colors: by arm.
    """
    go = graph_objects()
    figure = go.Figure()
    elsewhere = {gain.arm: gain for gain in others}
    for place, gain in enumerate(gain for gain in adapted if gain.arm in elsewhere):
        other, color = elsewhere[gain.arm], colors[gain.arm]
        figure.add_trace(
            go.Scatter(
                x=[other.value],
                y=[gain.value],
                name=escape(gain.arm, quote=False),
                mode="markers",
                marker={"size": 12, "color": color, "symbol": SYMBOLS[place % len(SYMBOLS)]},
                error_x=_bar([other], color),
                error_y=_bar([gain], color),
                hovertemplate="%{y:+.2f} there, %{x:+.2f} elsewhere",
            )
        )
    line = {"color": COLORS[5], "width": 1}
    figure.add_vline(x=0, line=line)
    figure.add_hline(y=0, line=line)
    figure.update_layout(
        height=440,
        xaxis={"title": "change in the other directions, chrF++", "tickformat": "+.1f", "zeroline": False},
        yaxis={"title": "gain in the adapted directions, chrF++", "tickformat": "+.1f", "zeroline": False},
    )
    return figure


def gains_by_direction(gains: Mapping[str, Mapping[str, float]], colors: Mapping[str, str]) -> Figure:
    """By arm and direction, the gain in chrF++: one dot per direction, sorted by the first arm's gain.

    Args:
        gains: by arm and direction.
        colors: by arm.
    """
    go = graph_objects()
    figure = go.Figure()
    first: Mapping[str, float] = next(iter(gains.values()), {})
    order = sorted(first, key=lambda name: first[name])
    for place, (arm, by_direction) in enumerate(gains.items()):
        figure.add_trace(
            go.Scatter(
                x=[name for name in order if name in by_direction],
                y=[by_direction[name] for name in order if name in by_direction],
                name=escape(arm, quote=False),
                mode="markers",
                marker={"size": 9, "color": colors[arm], "symbol": SYMBOLS[place % len(SYMBOLS)]},
                hovertemplate="%{x}: %{y:+.2f}",
            )
        )
    figure.add_hline(y=0, line={"color": COLORS[5], "width": 1})
    figure.update_layout(
        height=420,
        xaxis={"type": "category", "tickangle": -90},
        yaxis={"title": "chrF++ gained over the checkpoint", "tickformat": "+.1f", "zeroline": False},
    )
    return figure


def _bar(gains: Sequence[Gain], color: str) -> dict[str, Any] | None:
    """Plotly's error bars; None where a gain has no interval."""
    bounds = [(gain.value, gain.bounds) for gain in gains if gain.bounds is not None]
    if len(bounds) < len(gains):
        return None
    return {
        "type": "data",
        "array": [own.high - value for value, own in bounds],
        "arrayminus": [value - own.low for value, own in bounds],
        "color": color,
        "thickness": 2,
        "width": 6,
    }
