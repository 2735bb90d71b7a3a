"""Which figures a paper gets, and their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.drift import StabilityRow
from neuronspec.analysis.structure import branches
from neuronspec.report.colors import SIDES, arm_colors, family_colors
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, SiteNumbers
from neuronspec.report.order import site_title
from neuronspec.report.paper.canvas import COLUMN, PAGE, PaperFigure, canvas, overlap_panels, side_by_side
from neuronspec.report.series import (
    Line,
    ablation_gains,
    ablation_series,
    effect_series,
    family_series,
    progression_series,
    sharing_series,
    stability_series,
    uriel_series,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osDPX^v*<>"
_STYLES = {"solid": "-", "dashed": "--", "dotted": ":"}


def paper_figures(data: ReportData, numbers: Numbers) -> Iterator[PaperFigure]:
    """All figures that the data has numbers for."""
    for side in numbers.sides:
        sites = [site for site in numbers.of(side) if len(site.names) > 1]
        if sites:
            yield _overlap(data, side, sites)
        if sites and len(sites[-1].names) > 2:
            yield _tree(sites[-1])
            yield _map(sites)
    if any(row.mean is not None for row in numbers.progression):
        yield _progression(numbers)
    yield _sparsity(numbers)
    yield _sharing(numbers)
    if any(site.test.p is not None for site in numbers.sites):
        yield _families(numbers)
    if any(site.mantel for site in numbers.sites):
        yield _uriel(numbers)
    if numbers.curves:
        yield _coverage(numbers)
    if numbers.effects:
        yield _effects(numbers)
    for ablation in data.findings.ablation if data.findings else []:
        yield _ablation(ablation)
    if data.findings and data.findings.stability:
        yield _stability(data.findings.stability)
    if data.findings and data.findings.drift:
        yield _drift(data)


def _overlap(data: ReportData, side: str, sites: Sequence[SiteNumbers]) -> PaperFigure:
    shown = [sites[0], sites[-1]] if len(sites) > 1 else [sites[0]]
    figure = overlap_panels(shown, "family", data.pivot, data.families)
    titles = " and ".join(site.title for site in shown)
    caption = (
        f"Intersection over union of the specialized neurons of {len(shown[0].names)} directions in {titles}. "
        f"Mean over pairs: {', '.join(f'{_pairs(site.iou):.3f}' for site in shown)}; expected of random sets of the "
        f"same sizes: {', '.join(f'{_pairs(site.chance):.3f}' for site in shown)}."
    )
    return PaperFigure(f"overlap-{side}", figure, caption)


def _pairs(matrix: np.ndarray) -> float:
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())


def _tree(site: SiteNumbers) -> PaperFigure:
    figure, (axis,) = canvas(COLUMN, max(1.6, 0.15 * len(site.names) + 0.6))
    for places, heights in branches(site.tree):
        axis.plot(heights, places, color="0.35", linewidth=1)
    colors = family_colors(site.families)
    leaves = site.tree.leaves
    axis.scatter([0] * len(leaves), range(len(leaves)), c=[colors[site.families[leaf]] for leaf in leaves], s=14,
                 zorder=3, clip_on=False)  # fmt: skip
    axis.set_yticks(range(len(leaves)), [site.names[leaf] for leaf in leaves])
    axis.tick_params(axis="y", length=0, pad=6)
    axis.spines["left"].set_visible(False)
    axis.set_xlim(left=0)
    axis.set_xlabel("1 - IoU")
    agreement = "" if site.agreement is None else f", agreement with the families {site.agreement:.2f}"
    correlation = site.tree.cophenetic_correlation
    kept = "" if correlation is None else f" Cophenetic correlation {correlation:.2f}{agreement}."
    caption = f"Hierarchical clustering (average linkage) of the neurons in {site.title}, coloured by family.{kept}"
    return PaperFigure(f"tree-{site.side}", figure, caption)


def _map(sites: Sequence[SiteNumbers]) -> PaperFigure:
    shown = [sites[0], sites[-1]] if len(sites) > 1 else [sites[0]]
    figure, axes = canvas(PAGE * 0.45 * len(shown) + 0.9, 2.9, len(shown))
    colors = family_colors(sites[-1].families)
    for axis, site in zip(axes, shown, strict=True):
        for at, (name, color) in enumerate(colors.items()):
            members = [i for i, family in enumerate(site.families) if family == name]
            points = site.plane.points[members]
            axis.scatter(points[:, 0], points[:, 1], color=color, marker=MARKERS[at % len(MARKERS)], s=16, label=name)
            for member, (x, y) in zip(members, points, strict=True):
                axis.annotate(site.codes[member], (x, y), xytext=(2, 3), textcoords="offset points", fontsize=6)
        axis.set_title(site.title)
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    shares = "; ".join(f"{site.title}: {sum(site.plane.share):.0%}" for site in shown)
    caption = f"Classical scaling of 1 - IoU to two dimensions (share of the inertia shown, {shares})."
    return PaperFigure(f"map-{sites[0].side}", figure, caption)


def _progression(numbers: Numbers) -> PaperFigure:
    lines = progression_series(numbers.progression)

    def draw(axis: Axes, side: str, sites: list[SiteNumbers]) -> None:
        own = [line for line in lines if line.side == side]
        if not own:  # a side that a single direction is compared on, as the encoder from one language into many
            return
        mean, chance = own
        if mean.low:
            axis.fill_between(mean.x, mean.low, mean.high, color=mean.color, alpha=0.2, linewidth=0)
        _plot(axis, mean, marker="o", label="mean, quartiles")
        _plot(axis, chance, label="by chance")
        axis.set_ylim(bottom=0)
        axis.legend()

    caption = (
        "Mean pairwise IoU of the specialized neurons by layer, with the quartiles of the pairs, and what random sets "
        "of the same sizes would share. Encoder: directions into the pivot; decoder: directions out of it."
    )
    return PaperFigure("progression", side_by_side(numbers, draw, "pairwise IoU"), caption)


def _sparsity(numbers: Numbers) -> PaperFigure:
    def draw(axis: Axes, side: str, sites: list[SiteNumbers]) -> None:
        values = [[by_site[site.site] for by_site in numbers.sparsity.values()] for site in sites]
        boxes = axis.boxplot(values, positions=[site.layer for site in sites], widths=0.5, showfliers=False)
        for line in (*boxes["boxes"], *boxes["medians"], *boxes["whiskers"], *boxes["caps"]):
            line.set_color(SIDES[side])
        axis.set_ylim(0, 1)

    caption = "Sparsity of the masks by layer: share of neurons that a direction leaves out, over all directions."
    return PaperFigure("sparsity", side_by_side(numbers, draw, "sparsity"), caption)


def _sharing(numbers: Numbers) -> PaperFigure:
    def draw(axis: Axes, side: str, sites: list[SiteNumbers]) -> None:
        bottom = np.zeros(len(sites))
        for bars in sharing_series([site.sharing for site in sites]):
            places = [site.layer for site in sites]
            axis.bar(places, bars.values, bottom=bottom, color=bars.color, label=bars.name, width=0.7)
            bottom += bars.values
        if side == numbers.sides[-1]:
            axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    caption = (
        "Neurons by who uses them: selected in all directions, in several families, in one family, in one, in none."
    )
    return PaperFigure("sharing", side_by_side(numbers, draw, "share of neurons"), caption)


def _families(numbers: Numbers) -> PaperFigure:
    def draw(axis: Axes, side: str, sites: list[SiteNumbers]) -> None:
        within, between = family_series(sites)
        for line in (within, between):
            _plot(axis, line, marker="o")
        for x, y, marked in zip(within.x, _floats(within.y), within.marked, strict=True):
            if marked:
                axis.annotate("*", (x, y), xytext=(0, 3), textcoords="offset points", ha="center")
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        axis.legend()

    number = max(site.test.permutations for site in numbers.sites)
    caption = (
        "Mean IoU of two directions of one family and of different families, with equally many of the most active "
        "neurons for every direction. "
        f"*: p < 0.05, permutation test ({number} draws) with Holm's correction over layers."
    )
    return PaperFigure("families", side_by_side(numbers, draw, "IoU, equally many neurons"), caption)


def _uriel(numbers: Numbers) -> PaperFigure:
    def draw(axis: Axes, side: str, sites: list[SiteNumbers]) -> None:
        for line in uriel_series(sites):
            _plot(axis, line)
            for x, y, marked in zip(line.x, _floats(line.y), line.marked, strict=True):
                axis.plot([x], [y], "o", color=line.color, fillstyle="full" if marked else "none")
        axis.axhline(0, color="0.8", linewidth=0.6)
        axis.legend()

    caption = (
        "Correlation of 1 - overlap (equally many of the most active neurons for every direction) with URIEL's "
        "distances between the languages; filled: p < 0.05 (Mantel test)."
    )
    return PaperFigure("uriel", side_by_side(numbers, draw, "Mantel's r"), caption)


def _coverage(numbers: Numbers) -> PaperFigure:
    curves = {curve.site: curve for curve in numbers.curves}
    figure, axes = canvas(COLUMN if len(numbers.sides) == 1 else PAGE * 0.8, 2.3, len(numbers.sides), sharey=True)
    for axis, side in zip(axes, numbers.sides, strict=True):
        sites = numbers.of(side)
        for at, site in enumerate(sites):
            curve, shade = curves[site.site], 0.35 + 0.65 * (at + 1) / len(sites)
            axis.plot(curve.neurons, curve.mean, color=SIDES[side], alpha=shade, label=f"layer {site.layer}")
        axis.set_title("" if side == "layers" else side)
        axis.set_xlabel("share of neurons")
        axis.legend()
    axes[0].set_ylabel("share of activation")
    return PaperFigure("coverage", figure, "Share of the activation that the most active neurons carry, by layer.")


def _effects(numbers: Numbers) -> PaperFigure:
    figure, axes = canvas(COLUMN if len(numbers.sides) == 1 else PAGE * 0.8, 2.3, len(numbers.sides), sharey=True)
    for axis, side in zip(axes, numbers.sides, strict=True):
        for line in effect_series(numbers.effects):
            if line.side == side:
                _plot(axis, line, marker="o")
        axis.set_title("" if side == "layers" else side)
        axis.set_xlabel("coverage k")
        axis.legend()
    return PaperFigure(
        "effect-of-k", figure, "Sparsity of masks and their overlap in the first and last layer against k."
    )


def _ablation(ablation: Ablation) -> PaperFigure:
    figure, (axis,) = canvas(max(COLUMN, 0.28 * len(ablation.rows) + 1.2), 2.2)
    places = np.arange(len(ablation.rows))
    for at, bars in enumerate(ablation_series(ablation)):
        errors: Any = {"yerr": bars.errors, "error_kw": {"elinewidth": 0.6}} if bars.errors else {}
        axis.bar(places + (at - 1) * 0.27, bars.values, width=0.27, color=bars.color, label=bars.name, **errors)
    axis.set_xticks(places, ablation.rows, rotation=90)
    axis.axhline(0, color="0.4", linewidth=0.6)
    axis.set_ylabel("rise of the loss (nats)")
    axis.legend()
    number = next(iter(ablation.neurons.values()))
    caption = (
        f"Rise of a direction's loss when {number} neurons of each layer ({ablation.side}) are off: the direction's "
        f"most characteristic, another direction's, or random ones. Mean rise: {np.mean(ablation.own()):.3f}, "
        f"{np.mean(ablation.others()):.3f}, {np.mean(ablation.by_chance()):.3f} nats per token; {ablation.sentences} "
        f"sentences per direction (bars: 95% intervals for others), {len(ablation.random)} draws of random neurons. "
        f"{ablation_gains(ablation)}"
    )
    return PaperFigure(f"ablation-{ablation.side}", figure, caption)


def _stability(rows: Sequence[StabilityRow]) -> PaperFigure:
    figure, (axis,) = canvas(COLUMN, 2.2)
    for line in stability_series(rows):
        _plot(axis, line, marker="o")
    axis.set_xlabel("share of the text")
    axis.set_ylabel("IoU")
    axis.legend()
    return PaperFigure(
        "stability", figure, "IoU of masks from a part of the text with those of all of it, or of other text."
    )


def _drift(data: ReportData) -> PaperFigure:
    assert data.findings is not None
    figure, (axis,) = canvas(PAGE * 0.7, 2.1)
    sites = list(data.findings.drift[0].iou)
    width = 0.8 / len(data.findings.drift)
    colors = arm_colors(data.arms)
    for at, summary in enumerate(data.findings.drift):
        places = np.arange(len(sites)) + (at + 0.5) * width - 0.4
        axis.bar(
            places, [summary.iou[site] for site in sites], width=width, color=colors[summary.model], label=summary.model
        )
    axis.set_xticks(range(len(sites)), [site_title(site) for site in sites], rotation=90 if len(sites) > 6 else 0)
    axis.set_ylabel("IoU before and after")
    axis.set_ylim(0, 1)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return PaperFigure(
        "drift", figure, "IoU of masks recorded again from the continuations with those from the baseline."
    )


def _floats(values: Sequence[Any]) -> list[float]:
    """Numbers that matplotlib draws: None becomes a gap."""
    return [float("nan") if value is None else float(value) for value in values]


def _plot(axis: Axes, line: Line, **options: Any) -> None:
    """Draw a line; `options` of matplotlib come before what the line says."""
    drawn = {"color": line.color, "linestyle": _STYLES[line.style], "label": line.name}
    axis.plot(line.x, _floats(line.y), **drawn | options)
