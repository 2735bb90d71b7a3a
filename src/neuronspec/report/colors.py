"""The colours of all figures: distinguishable by the colour-blind and in print."""

from __future__ import annotations

from collections.abc import Sequence

COLORS = ["#2a6f97", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#5f6b7a", "#3d9a8b", "#a44a6f", "#7a8b2a", "#4657a8",
          "#c77d3f", "#6b4f3a"]  # fmt: skip
SIDES = {"encoder": COLORS[0], "decoder": COLORS[1], "layers": COLORS[2]}


def family_colors(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, by name."""
    return {name: COLORS[index % len(COLORS)] for index, name in enumerate(sorted(set(families)))}
