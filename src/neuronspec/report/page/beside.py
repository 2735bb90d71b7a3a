"""The section of a report that holds a run beside published results."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.analysis.overlap import LayerOverlap, overlap_progression
from neuronspec.core.direction import Direction
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, digits_of, label_of, trained_directions
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.selection import select_neurons
from neuronspec.report.colors import arm_colors
from neuronspec.report.data import ReportData
from neuronspec.report.figures.by_layer import progression_lines
from neuronspec.report.figures.style import graph_objects
from neuronspec.report.figures.traces import scatter
from neuronspec.report.page.blocks import Block, Section, figure_block, rounded
from neuronspec.report.published import Published
from neuronspec.report.series import published_series

WAYS = ("out", "into")
_Row = tuple[str, str, str, str, float, float | None]
"""Metric, arm, tier, way past the pivot, what was published, and what this run has."""


def published_section(data: ReportData) -> Section | None:
    """Overlap and scores of the run beside the published ones; None where the recipe names none."""
    published = data.published
    if published is None:
        return None
    blocks = [_overlap(data, published)]
    if data.results is not None:
        blocks.append(_scores(data.results, published))
    intro = (
        f"Published: {published.source}. Those numbers are copied from the paper; nothing of them was measured in this "
        "run, and other text, models or amounts of training make the two no measure of each other."
    )
    return Section("published", "Beside published results", intro, blocks)


def _overlap(data: ReportData, published: Published) -> Block:
    """At the published k, if there are activations to select from."""
    masks, k = data.masks, "the recipe's k"
    if data.activations is not None:
        masks = select_neurons(data.activations, CumulativeActivation(published.coverage))
        k = f"k = {published.coverage:.2f}, as published"
    rows = overlap_progression(masks, data.pivot or "")
    figure = progression_lines(rows)
    for line in published_series(published.overlap):
        figure.add_trace(scatter(line))
    return figure_block(
        "published-overlap",
        "Overlap over the layers",
        f"Mean pairwise IoU. Solid: this run, at {k}. Dashed: published (k = {published.coverage:.2f}). Dotted: what "
        "random sets of this run's sizes share.",
        figure,
        ["layer", "this run", "published"],
        [[name, rounded(own), value] for name, own, value in _layers(rows, published)],
    )


def _layers(rows: list[LayerOverlap], published: Published) -> Iterator[tuple[str, float | None, float | None]]:
    """All layers that either has."""
    own = {row.site: row.mean for row in rows}
    given = {f"{side}.{at}": value for side, values in published.overlap.items() for at, value in enumerate(values)}
    for site in sorted({*own, *given}, key=lambda name: (name.partition(".")[0] != "encoder", name)):
        side, _, number = site.partition(".")
        yield f"{side} {int(number) + 1}", own.get(site), given.get(site)


def _scores(results: Results, published: Published) -> Block:
    rows = list(_rows(results, published))
    go = graph_objects()
    figure = go.Figure()
    colors = arm_colors([*results.arms, *(row[1] for row in rows)])
    for arm in dict.fromkeys(row[1] for row in rows):
        own = [row for row in rows if row[:2] == ("bleu", arm)]
        names = [f"{tier}, {way}" for _, _, tier, way, _, _ in own]
        for name, at, shape in (("published", 4, "/"), ("this run", 5, "")):
            marker = {"color": colors[arm], "pattern": {"shape": shape}}
            figure.add_trace(go.Bar(x=names, y=[row[at] for row in own], name=f"{arm}, {name}", marker=marker))
    figure.update_layout(barmode="group", yaxis={"title": "BLEU", "rangemode": "tozero"})
    return figure_block(
        "published-scores",
        "Scores by resource tier",
        "Mean BLEU over the directions out of the pivot and into it. Striped: published. Full: this run. The table has "
        "chrF++, too.",
        figure,
        ["metric", "arm", "tier", "way", "published", "this run"],
        [[label_of(metric), arm, tier, way, value, rounded(mine, digits_of(metric))]
         for metric, arm, tier, way, value, mine in rows],
    )  # fmt: skip


def _rows(results: Results, published: Published) -> Iterator[_Row]:
    trained = [Direction.parse(name) for name in trained_directions(results)]
    for metric, arms in published.scores.items():
        for arm, tiers in arms.items():
            for tier, values in tiers.items():
                codes = None if tier == "all" else results.tiers.get(tier, [])
                for way, value in zip(WAYS, values, strict=True):
                    own = [str(one) for one in trained if _is_of(one, way, results.pivot, codes)]
                    yield metric, arm, tier, way, value, average(results.arms.get(arm, {}), own, metric).value


def _is_of(direction: Direction, way: str, pivot: str | None, codes: list[str] | None) -> bool:
    """Whether a direction goes that way past the pivot, and its other language is one of some (None: any)."""
    middle, other = direction.source, direction.target
    if way == "into":
        middle, other = other, middle
    return middle == pivot and (codes is None or other in codes)
