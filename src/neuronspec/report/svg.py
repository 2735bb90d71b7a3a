"""Overlap heatmaps as an SVG picture, for README files and papers: small, sharp, no plotly needed.

The picture has its own background, and follows the reader's light or dark setting by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import torch

from neuronspec.errors import MaskError
from neuronspec.neurons import NeuronMasks, overlap
from neuronspec.report.order import Order, family_bounds, label, ordered, other_language, shown_directions

BINS = 24
_GAP, _EDGE, _LETTER, _TITLE = 3.0, 16.0, 6.3, 26.0
_LIGHT, _DARK = ((241, 245, 247), (94, 160, 190), (16, 50, 82)), ((32, 40, 46), (52, 120, 150), (214, 240, 250))
_STYLE = """text{font:11px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#24292e}
.title{font-size:13px;font-weight:600}.dim{fill:#5c6870}.page{fill:#fff;stroke:#dfe3e6}.self{fill:#dfe3e6}
.bracket{fill:none;stroke:#8a949b}"""
_STYLE_DARK = """text{fill:#e3e7ea}.dim{fill:#9aa5ab}.page{fill:#14181b;stroke:#2c343a}.self{fill:#2c343a}
.bracket{stroke:#77828a}"""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One site: the matrix, and its rows' names, codes, offsets from the panel's corner, and families."""

    title: str
    values: torch.Tensor
    names: list[str]
    codes: list[str]
    offsets: list[float]
    families: list[tuple[str, int, int]]

    def size(self, cell: float) -> float:
        return self.offsets[-1] + cell


def overlap_svg(
    masks: NeuronMasks,
    sites: Sequence[str],
    *,
    order: Order = "family",
    pivot: str | None = "en",
    families: Mapping[str, str] | None = None,
) -> str:
    """Pairwise intersection over union of the directions' neurons, a panel a site, side by side on one scale.

    The scale spans the values off the diagonal, rounded outwards to 0.05; the diagonal (always 1) is left grey.

    Args:
        masks: the masks.
        sites: such as `["decoder.0", "decoder.5"]`.
        order: of the languages: by `family` (then families are marked), or by `name`.
        pivot: encoder sites show the directions into it, decoder sites those out of it; None shows all.
        families: the family of a language where it isn't the built-in table's.

    Raises:
        MaskError: no site, an unknown one, or a single direction.
        RecipeError: an unknown order.
    """
    if not sites:
        raise MaskError(f"a picture of overlap needs at least one site; there are {', '.join(masks.sites)}")
    longest = max(len(shown_directions(masks, site, pivot)) for site in sites)
    if longest < 2:
        raise MaskError("a picture of overlap needs at least two directions")
    cell = float(max(6, min(20, 330 // longest)))
    panels = [_panel(masks, site, order, pivot, families, cell) for site in sites]
    low, high = _scale(panels)
    top, left = _EDGE + _TITLE, _EDGE
    parts: list[str] = []
    for index, panel in enumerate(panels):
        if index == 0 or panel.names != panels[index - 1].names:
            left += max(map(len, panel.names)) * _LETTER + 8
            parts += _row_labels(panel, left, top, cell)
        parts += _draw(panel, left, top, cell, low, high)
        left += panel.size(cell) + 22
    if order == "family":
        parts += _brackets(panels[-1], left - 18, top, cell)
        left += max(len(name) for name, _, _ in panels[-1].families) * _LETTER
    bottom = top + max(panel.size(cell) + 8 + max(map(len, panel.codes)) * _LETTER for panel in panels)
    parts += _legend(_EDGE, bottom + 16, low, high)
    return _picture(left + _EDGE, bottom + 16 + 30 + _EDGE, parts)


def _panel(
    masks: NeuronMasks, site: str, order: Order, pivot: str | None, families: Mapping[str, str] | None, cell: float
) -> _Panel:
    directions = ordered(shown_directions(masks, site, pivot), order, pivot, families)
    bounds = family_bounds(directions, pivot, families) if order == "family" else []
    starts = {start for _, start, _ in bounds[1:]}
    offsets, at = [], 0.0
    for index in range(len(directions)):
        at += _GAP if index in starts else 0
        offsets.append(at)
        at += cell
    side, _, layer = site.partition(".")
    return _Panel(
        title=f"{side}, layer {int(layer) + 1}",
        values=overlap(masks, site, directions),
        names=[label(direction, pivot) for direction in directions],
        codes=[other_language(direction, pivot) for direction in directions],
        offsets=offsets,
        families=bounds,
    )


def _scale(panels: Sequence[_Panel]) -> tuple[float, float]:
    """The least and greatest value off the diagonal, rounded outwards to 0.05."""
    values = torch.cat([panel.values[~torch.eye(len(panel.values), dtype=torch.bool)] for panel in panels])
    low = math.floor(float(values.min()) * 20 + 1e-9) / 20
    high = math.ceil(float(values.max()) * 20 - 1e-9) / 20
    return (low, high) if high > low else (max(low - 0.05, 0.0), low + 0.05)


def _draw(panel: _Panel, left: float, top: float, cell: float, low: float, high: float) -> list[str]:
    """Title, cells (one path a colour) and column labels."""
    paths: dict[str, list[str]] = {}
    for row, y in enumerate(panel.offsets):
        for column, x in enumerate(panel.offsets):
            share = (float(panel.values[row, column]) - low) / (high - low)
            name = "self" if row == column else f"c{min(BINS - 1, int(share * BINS))}"
            paths.setdefault(name, []).append(f"M{left + x:g} {top + y:g}h{cell - 1:g}v{cell - 1:g}h{1 - cell:g}z")
    parts = [f'<text class="title" x="{left:g}" y="{top - 10:g}">{escape(panel.title)}</text>']
    parts += [f'<path class="{name}" d="{"".join(path)}"/>' for name, path in sorted(paths.items())]
    under = top + panel.size(cell) + 5
    for code, x in zip(panel.codes, panel.offsets, strict=True):
        middle = left + x + cell / 2
        parts.append(
            f'<text class="dim" text-anchor="end" transform="translate({middle + 3.5:g} {under:g}) rotate(-90)">'
            f"{escape(code)}</text>"
        )
    return parts


def _row_labels(panel: _Panel, right: float, top: float, cell: float) -> list[str]:
    return [
        f'<text text-anchor="end" x="{right - 6:g}" y="{top + y + cell / 2 + 3.5:g}">{escape(name)}</text>'
        for name, y in zip(panel.names, panel.offsets, strict=True)
    ]


def _brackets(panel: _Panel, left: float, top: float, cell: float) -> list[str]:
    """The families' names beside their rows."""
    parts = []
    for name, start, end in panel.families:
        first, last = top + panel.offsets[start], top + panel.offsets[end - 1] + cell - 1
        parts.append(f'<path class="bracket" d="M{left:g} {first:g}h5V{last:g}h-5"/>')
        parts.append(f'<text class="dim" x="{left + 11:g}" y="{(first + last) / 2 + 3.5:g}">{escape(name)}</text>')
    return parts


def _legend(left: float, top: float, low: float, high: float) -> list[str]:
    """The scale of values."""
    width = 8.0
    parts = [
        f'<path class="c{index}" d="M{left + index * width:g} {top:g}h{width:g}v10h-{width:g}z"/>'
        for index in range(BINS)
    ]
    for share in (0.0, 0.5, 1.0):
        x, anchor = left + share * BINS * width, {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        value = f"{low + share * (high - low):.3f}".rstrip("0").rstrip(".")
        parts.append(f'<text class="dim" text-anchor="{anchor}" x="{x:g}" y="{top + 24:g}">{value}</text>')
    text = "shared neurons (intersection over union)"
    return [*parts, f'<text class="dim" x="{left + BINS * width + 10:g}" y="{top + 9:g}">{text}</text>']


def _picture(width: float, height: float, parts: list[str]) -> str:
    colours = {name: "".join(_rules(scale)) for name, scale in (("light", _LIGHT), ("dark", _DARK))}
    style = f"{_STYLE}{colours['light']}@media(prefers-color-scheme:dark){{{_STYLE_DARK}{colours['dark']}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
        "<title>Overlap of the neurons of translation directions</title>"
        f"<style>{style}</style>"
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def _rules(scale: tuple[tuple[int, int, int], ...]) -> list[str]:
    """A fill for each bin, between the colours of `scale`."""
    rules = []
    for index in range(BINS):
        place = index / (BINS - 1) * (len(scale) - 1)
        start = min(int(place), len(scale) - 2)
        share = place - start
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(scale[start], scale[start + 1], strict=True))
        rules.append(f".c{index}{{fill:#{red:02x}{green:02x}{blue:02x}}}")
    return rules
