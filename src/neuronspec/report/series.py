"""What figures draw, described once: the report draws it with plotly, papers with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.coverage import CoverageEffect
from neuronspec.analysis.drift import StabilityRow
from neuronspec.analysis.overlap import LayerOverlap
from neuronspec.analysis.sharing import SharingRow
from neuronspec.report.colors import COLORS, NEUTRAL, SIDES
from neuronspec.report.numbers import SiteNumbers

Style = Literal["solid", "dashed", "dotted"]

SHARING = {"shared": "shared by all", "several": "several families", "family": "one family", "language": "one language",
           "unused": "unused"}  # fmt: skip
"""The fields of `SharingRow`, and what figures call them."""
_SHARING_COLORS = (COLORS[9], COLORS[6], COLORS[2], COLORS[1], NEUTRAL)

SIGNIFICANT = 0.05
"""Tests with a smaller p-value get a filled mark."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a figure.

    Args:
        name: in the legend.
        side: of the model, `encoder`, `decoder` or `layers`; empty where the line isn't of one.
        x, y: of its points; None leaves a gap.
        color: `#rrggbb`.
        style: of the line.
        low, high: of a band around it; empty without one.
        p: of a test at each point; empty without tests.
    """

    name: str
    side: str
    x: list[float]
    y: list[float | None]
    color: str
    style: Style = "solid"
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    p: Sequence[float | None] = ()

    @property
    def marked(self) -> list[bool]:
        """Whether the test at each point is significant."""
        return [p is not None and p < SIGNIFICANT for p in self.p]


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of one colour.

    Args:
        name: in the legend.
        values: one per place on the x axis.
        color: `#rrggbb`.
        counts: what the values are shares of, as absolute numbers; empty where they aren't shares.
        errors: half of the 95% interval of each value; empty where there is none.
    """

    name: str
    values: list[float]
    color: str
    counts: Sequence[int] = ()
    errors: Sequence[float] = ()


def layer_of(site: str) -> int:
    """The number of a site's layer, from 1."""
    return int(site.partition(".")[2]) + 1


def _side(site: str) -> str:
    return site.partition(".")[0]


def progression_series(rows: Sequence[LayerOverlap]) -> list[Line]:
    """Per side the mean IoU by layer with the quartiles of the pairs, and what random masks would share."""
    known = [row for row in rows if row.mean is not None]
    lines = []
    for side in dict.fromkeys(_side(row.site) for row in known):
        own = [row for row in known if _side(row.site) == side]
        layers: list[float] = [layer_of(row.site) for row in own]
        bands = [row.quartiles for row in own if row.quartiles]
        low, high = ([band[at] for band in bands] if len(bands) == len(own) else [] for at in (0, 2))
        color = SIDES[side]
        lines += [
            Line(side, side, layers, [row.mean for row in own], color, low=low, high=high),
            Line(f"{side}, by chance", side, layers, [row.chance for row in own], color, "dotted"),
        ]
    return lines


def published_series(overlap: Mapping[str, Sequence[float]]) -> list[Line]:
    """The published mean IoU by layer, side by side."""
    return [
        Line(f"{side}, published", side, [*map(float, range(1, len(values) + 1))], [*values], SIDES[side], "dashed")
        for side, values in overlap.items()
    ]


def effect_series(effects: Sequence[CoverageEffect]) -> list[Line]:
    """Per side the sparsity, and the overlap in the first and the last layer, against k; what is known of it."""
    parts: tuple[tuple[str, str, Style], ...] = (
        ("sparsity", "sparsity", "dashed"),
        ("IoU, first layer", "first", "solid"),
        ("IoU, last layer", "last", "dotted"),
    )
    lines = []
    for side in dict.fromkeys(effect.side for effect in effects):
        own = [effect for effect in effects if effect.side == side]
        for name, part, style in parts:
            values = [getattr(effect, part) for effect in own]
            if any(value is not None for value in values):
                lines.append(Line(name, side, [effect.coverage for effect in own], values, SIDES[side], style))
    return lines


def stability_series(rows: Sequence[StabilityRow]) -> list[Line]:
    """Per side the overlap with the masks of all text, and with those of other text, against the share of the text."""
    parts: tuple[tuple[str, str, Style], ...] = (("all text", "iou", "solid"), ("other text", "other", "dotted"))
    lines = []
    for side in dict.fromkeys(_side(row.site) for row in rows):
        own = [row for row in rows if _side(row.site) == side]
        shares = sorted({row.share for row in own})
        for name, part, style in parts:
            values = [_mean([getattr(row, part) for row in own if row.share == share]) for share in shares]
            if any(value is not None for value in values):
                lines.append(Line(f"{side}, with {name}", side, shares, values, SIDES[side], style))
    return lines


def family_series(sites: Sequence[SiteNumbers]) -> list[Line]:
    """Overlap of equally many neurons within and between families, by layer, with the corrected p of the difference."""
    layers: list[float] = [site.layer for site in sites]
    p = [site.adjusted for site in sites]
    return [
        Line("within families", "", layers, [site.test.within for site in sites], COLORS[2], p=p),
        Line("between families", "", layers, [site.test.between for site in sites], COLORS[5], "dashed", p=p),
    ]


def uriel_series(sites: Sequence[SiteNumbers]) -> list[Line]:
    """Per kind of distance its correlation with 1 - overlap of equally many neurons, by layer."""
    lines = []
    for kind, color in zip(sites[0].mantel if sites else (), COLORS, strict=False):
        tests = [site.mantel[kind] for site in sites]
        layers: list[float] = [site.layer for site in sites]
        lines.append(Line(kind, "", layers, [test.r for test in tests], color, p=[test.p for test in tests]))
    return lines


def sharing_series(rows: Sequence[SharingRow]) -> list[Bars]:
    """Who uses the neurons of each site: shares of all, to be stacked."""
    made = []
    for (part, name), color in zip(SHARING.items(), _SHARING_COLORS, strict=True):
        counts = [int(getattr(row, part)) for row in rows]
        shares = [count / row.width for count, row in zip(counts, rows, strict=True)]
        made.append(Bars(name, shares, color, counts))
    return made


def ablation_series(ablation: Ablation) -> list[Bars]:
    """The rise of each direction's loss (nats per token) without its own neurons, another's, and random ones."""
    parts = (
        ("own", ablation.own(), COLORS[1]),
        ("another direction's", ablation.others(), COLORS[0]),
        ("random", ablation.by_chance(), COLORS[5]),
    )
    errors = ablation.errors or [[], [], []]
    return [Bars(name, values, color, errors=own) for (name, values, color), own in zip(parts, errors, strict=True)]


def ablation_gains(ablation: Ablation) -> str:
    """How much more a direction's own neurons matter than others, with intervals over directions."""
    told = []
    for (mean, interval), what in (
        (ablation.above_others(), "another direction's"),
        (ablation.above_chance(), "random ones"),
    ):
        bounds = (
            ""
            if interval is None
            else f" (95% interval for other directions {interval.low:+.3f} to {interval.high:+.3f})"
        )
        told.append(f"{mean:+.3f} nats more than {what}{bounds}")
    return f"Its own cost a direction {' and '.join(told)}, mean over {len(ablation.rows)} directions."


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
