"""What all figures for papers share: style, widths, axes side by side, heatmaps of overlap (matplotlib).

Colours are safe for the colour-blind and in print; text stays text, so that fonts can be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuronspec.core.errors import MaskError, MissingExtraError
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.numbers import Numbers, SiteNumbers, site_numbers
from neuronspec.report.order import Order, family_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.4, 7.0
"""Widths of a column and of a page, in inches."""
STYLE: dict[str, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "lines.linewidth": 1.3, "lines.markersize": 3.5, "legend.frameon": False, "pdf.fonttype": 42,
    "svg.fonttype": "none", "svg.hashsalt": "neuronspec", "figure.constrained_layout.use": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """A figure with its file name and caption."""

    name: str
    figure: Figure
    caption: str


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all figures, without a screen.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "drawing figures for papers") from None
    style: Any = STYLE
    with matplotlib.rc_context(style):
        yield


def canvas(width: float, height: float, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure without a window, and its axes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False, **options)
    return figure, list(axes[0])


def overlap_figure(
    masks: NeuronMasks,
    sites: Sequence[str],
    *,
    order: Order = "family",
    pivot: str | None = "en",
    families: Mapping[str, str] | None = None,
) -> Figure:
    """Pairwise IoU of the directions' neurons at some sites, side by side on one scale.

    Raises:
        MaskError: no site, an unknown one, or a single direction.
        MissingExtraError: matplotlib isn't installed.
    """
    if not sites:
        raise MaskError(f"a picture of overlap needs at least one site; there are {', '.join(masks.sites)}")
    numbers = [site_numbers(masks, site, pivot, families or {}) for site in sites]
    if max(len(site.names) for site in numbers) < 2:
        raise MaskError("a picture of overlap needs at least two directions")
    with drawing():
        return overlap_panels(numbers, order, pivot, families)


def overlap_panels(
    numbers: Sequence[SiteNumbers],
    order: Order = "family",
    pivot: str | None = "en",
    families: Mapping[str, str] | None = None,
) -> Figure:
    """As `overlap_figure`, from the numbers of the sites."""
    items = max(len(site.names) for site in numbers)
    size = min(PAGE / len(numbers), max(2.2, 0.16 * items + 1.0))
    figure, axes = canvas(size * len(numbers) + 0.9, size + 0.2, len(numbers))
    values = np.concatenate([site.iou[~np.eye(len(site.iou), dtype=bool)] for site in numbers])
    low, high = float(values.min()), float(values.max())
    image: Any = None
    for at, (axis, site) in enumerate(zip(axes, numbers, strict=True)):
        places = site.order(order)
        shown = np.ma.masked_where(np.eye(len(places), dtype=bool), site.iou[np.ix_(places, places)])
        image = axis.imshow(shown, cmap="YlGnBu", vmin=low, vmax=high, interpolation="nearest")
        axis.set_title(site.title.replace(" ", ", layer ", 1) if site.side != "layers" else site.title)
        axis.set_xticks(range(len(places)), [site.codes[i] for i in places], rotation=90)
        same = at > 0 and numbers[at - 1].names == site.names and numbers[at - 1].order(order) == places
        axis.set_yticks(range(len(places)), [] if same else [site.names[i] for i in places])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        if order == "family":
            _family_marks(axis, site, pivot, families, last=at == len(numbers) - 1)
    figure.colorbar(
        image, ax=axes, shrink=0.7, aspect=30, pad=0.02, label="intersection over union"
    ).outline.set_visible(False)
    return figure


def _family_marks(
    axis: Axes, site: SiteNumbers, pivot: str | None, families: Mapping[str, str] | None, last: bool
) -> None:
    """White lines between families; their names on the right of the last panel."""
    for name, start, end in family_bounds(site.directions, pivot, families):
        if start:
            axis.axhline(start - 0.5, color="white", linewidth=2)
            axis.axvline(start - 0.5, color="white", linewidth=2)
        if last:
            axis.text(len(site.names) - 0.3, (start + end - 1) / 2, name, va="center", fontsize=7, color="0.35")


def side_by_side(numbers: Numbers, draw: Callable[[Axes, str, list[SiteNumbers]], None], label: str) -> Figure:
    """One panel per side of the model, with layers on the x axis."""
    sides = numbers.sides
    figure, axes = canvas(COLUMN if len(sides) == 1 else PAGE * 0.8, 2.1, len(sides), sharey=True)
    for axis, side in zip(axes, sides, strict=True):
        draw(axis, side, numbers.of(side))
        axis.set_title("" if side == "layers" else side)
        axis.set_xlabel("layer")
        axis.set_xticks([site.layer for site in numbers.of(side)])
    axes[0].set_ylabel(label)
    return figure
