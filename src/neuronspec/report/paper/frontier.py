"""The picture of an adaptation: what each way to adapt gains against what it makes the other directions forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from neuronspec.report.colors import COLORS
from neuronspec.report.paper.canvas import COLUMN, canvas, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points: TypeAlias = Sequence[tuple[float, float]]
"""Forgetting and gain of each."""


def frontier_figure(methods: Mapping[str, tuple[Points, Points]], label: str = "chrF++") -> Figure:
    """Gain in the adapted directions against forgetting in the others.

    Args:
        methods: by name, all points, and those on the frontier in the order of forgetting.
        label: of the score.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    with drawing():
        figure, (axis,) = canvas(COLUMN * 1.5, 3.2)
        axis.axvline(0, color="#c9c4b8", linewidth=0.8, zorder=0)
        axis.axhline(0, color="#c9c4b8", linewidth=0.8, zorder=0)
        for place, (name, (points, best)) in enumerate(methods.items()):
            color, style = COLORS[place % len(COLORS)], "solid" if place < len(COLORS) else "dashed"
            axis.plot([x for x, _ in best], [y for _, y in best], color=color, linestyle=style, label=name)
            axis.plot([x for x, _ in points], [y for _, y in points], "o", color=color)
        axis.set_xlabel(f"forgetting: loss in the other directions, {label}")
        axis.set_ylabel(f"gain in the adapted directions, {label}")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
