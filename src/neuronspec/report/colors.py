"""The colours of all figures: distinguishable by the colour-blind, in print, and on light and dark ground.

Each has a contrast of at least 3:1 (WCAG 2.2, 1.4.11) against `GROUNDS`, so a figure keeps its colours in both themes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GROUNDS = {"light": "#ffffff", "dark": "#1c2226"}
"""What the report's figures are drawn on, by theme: `--card` of its style sheet."""
COLORS = ["#2c759f", "#c8553d", "#588157", "#8e6c8a", "#b08900", "#637080", "#3d9a8b", "#ae4e76", "#7a8b2a", "#596aba",
          "#c77d3f", "#8c674c"]  # fmt: skip
NEUTRAL = "#99907d"
"""What is there and isn't the point: unused neurons, unselected ones."""
SIDES = {"encoder": COLORS[0], "decoder": COLORS[1], "layers": COLORS[2]}
_ARMS = {"copy": NEUTRAL, "base": COLORS[5], "specialized": COLORS[0], "dense": COLORS[1], "random": COLORS[4]}
_OTHERS = [color for color in COLORS if color not in _ARMS.values()]


def family_colors(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, by name."""
    return {name: COLORS[index % len(COLORS)] for index, name in enumerate(sorted(set(families)))}


def arm_colors(arms: Iterable[str]) -> dict[str, str]:
    """A colour for each arm of a run, the same in all figures: pass all arms, also where a figure shows some."""
    names = list(dict.fromkeys(arms))
    others = [name for name in names if name not in _ARMS]
    colors = {name: _OTHERS[index % len(_OTHERS)] for index, name in enumerate(others)}
    return {name: _ARMS.get(name) or colors[name] for name in names}
