"""Tables of scores: averages that say how many directions they cover, by arm, resource tier, family and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuronspec.core.direction import Direction
from neuronspec.core.languages import name_of
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.results import (
    MAIN_SCORES,
    Average,
    DirectionResult,
    Results,
    average,
    digits_of,
    label_of,
)
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.significance import Group, marks

__all__ = [
    "Average",
    "Cell",
    "Table",
    "arms_table",
    "average",
    "digits_of",
    "directions_of",
    "directions_table",
    "families_table",
    "label_of",
    "other_scores_table",
    "tiers_table",
    "trained_directions",
    "zero_shot_table",
]


def directions_of(results: Results) -> list[str]:
    """All directions that were to be evaluated, or that any arm was scored in, sorted."""
    scored = {name for scores in results.arms.values() for name in scores}
    return sorted(scored | set(results.directions), key=Direction.parse)


def trained_directions(results: Results) -> list[str]:
    """`directions_of` without the zero-shot ones."""
    return [name for name in directions_of(results) if name not in results.zero_shot]


def arms_table(results: Results) -> Table:
    """One row per arm: averages over the trained directions, and the gain in chrF++ over `base` and over `dense`."""
    directions, arms = trained_directions(results), results.arms
    rows: list[list[str]] = []
    for arm, scores in arms.items():
        cells = [average(scores, directions, metric).show(digits_of(metric)) for metric in MAIN_SCORES]
        rows.append([arm, *cells, *(gain_cell(results, arm, other, directions) for other in ("base", "dense"))])
    labels = [label_of(metric) for metric in MAIN_SCORES]
    title = f"Arms, mean of {len(directions)} directions"
    return Table(title, ["arm", *labels, "chrF++ over base", "chrF++ over dense"], rows, note(results))


def note(results: Results) -> str:
    """What marks mean, where there are any."""
    return results.significance.note if results.significance else ""


def gain_cell(
    results: Results,
    arm: str,
    other: str,
    directions: Sequence[str],
    metric: str = "chrf++",
    group: Group = "average",
) -> Cell:
    """The mean difference over the directions that both have; marked if its interval for other directions excludes 0.

    Args:
        results: of a run.
        arm: whose gain it is.
        other: the arm that it is compared with.
        directions: over which the mean is taken.
        metric: a name in `METRICS`.
        group: which of the intervals belongs to the directions.
    """
    arms = results.arms
    if other not in arms or arm in (other, "copy"):
        return Cell("")
    gain = average_gain(arms[arm], arms[other], directions, metric)
    test = results.significance.average(arm, other, metric, group) if results.significance else None
    significant = test is not None and test.n == gain.n and test.significant
    return gain.show(digits_of(metric), signed=True, mark="*" if significant else "")


def average_gain(
    scores: Mapping[str, DirectionResult], other: Mapping[str, DirectionResult], directions: Sequence[str], metric: str
) -> Average:
    """The mean difference over the directions that both have."""
    gains = gains_of(scores, other, directions, metric)
    return Average(sum(gains.values()) / len(gains) if gains else None, len(gains), len(directions))


def gains_of(
    scores: Mapping[str, DirectionResult], other: Mapping[str, DirectionResult], directions: Sequence[str], metric: str
) -> dict[str, float]:
    """The difference in each direction that both have."""
    both = [name for name in directions if name in scores and name in other]
    pairs = {name: (scores[name].get(metric), other[name].get(metric)) for name in both}
    return {name: one - two for name, (one, two) in pairs.items() if one is not None and two is not None}


def _has(scores: DirectionResult, name: str) -> bool:
    return "truncated" in scores.model_fields_set if name == "truncated" else scores.get(name) is not None


def other_scores_table(results: Results) -> Table:
    """One row per arm, one column per further score that some arm has: TER, COMET, off-target rate, ..."""
    arms, directions = results.arms, trained_directions(results)
    cells = [score for scores in arms.values() for score in scores.values()]
    known = [*METRICS, *sorted({name for cell in cells for name in cell.others if name not in METRICS}), "truncated"]
    there = [name for name in known if name not in MAIN_SCORES and any(_has(cell, name) for cell in cells)]
    rows: list[list[str]] = [
        [arm, *(average(scores, directions, name).show(digits_of(name)) for name in there)]
        for arm, scores in arms.items()
    ]
    title = f"Other scores, mean of {len(directions)} directions"
    reasons = "; ".join(f"{label_of(name)}: {reason}" for name, reason in results.skipped.items())
    return Table(title, ["arm", *map(label_of, there)], rows, f"Left out: {reasons}" if reasons else "")


def group_by_tier(results: Results) -> dict[str, list[str]]:
    """The trained directions by resource tier and way past the pivot (`high out`, `high into`), and all of a way."""
    return tier_groups(trained_directions(results), results.tiers, results.pivot)


def tier_groups(
    directions: Sequence[str], tiers: Mapping[str, Sequence[str]], pivot: str | None
) -> dict[str, list[str]]:
    """As `group_by_tier`, for directions in the order of `directions`."""
    tier_of = {code: tier for tier, codes in tiers.items() for code in codes}
    ways = ("out", "into")
    order = [f"{tier} {way}" for tier in [*tiers, "all"] for way in ways] + ["past the pivot"]
    groups: dict[str, list[str]] = {label: [] for label in order}
    for name in directions:
        direction = Direction.parse(name)
        if pivot not in (direction.source, direction.target):
            groups["past the pivot"].append(name)
            continue
        other, way = (direction.target, "out") if direction.source == pivot else (direction.source, "into")
        groups[f"all {way}"].append(name)
        if other in tier_of:
            groups[f"{tier_of[other]} {way}"].append(name)
    filled = [tier for tier in tiers if any(groups[f"{tier} {way}"] for way in ways)]
    left_out = [f"all {way}" for way in ways] if len(filled) < 2 else []
    return {label: names for label, names in groups.items() if names and label not in left_out}


def tiers_table(results: Results, metric: str = "chrf++") -> Table:
    """One row per arm, one column per resource tier and way past the pivot, as the paper's main table has it."""
    return _grouped(results, f"{label_of(metric)} by resource tier", metric, group_by_tier(results))


def families_table(results: Results, metric: str = "chrf++") -> Table:
    """One row per arm, one column per language family (of the language that isn't the pivot)."""
    families, pivot = results.families, results.pivot
    groups: dict[str, list[str]] = {family: [] for family in sorted(set(families.values()))}
    for name in trained_directions(results):
        direction = Direction.parse(name)
        family = families.get(direction.target if direction.source == pivot else direction.source)
        if family is not None:
            groups[family].append(name)
    groups = {family: names for family, names in groups.items() if names}
    return _grouped(results, f"{label_of(metric)} by language family", metric, groups)


def _grouped(results: Results, title: str, metric: str, groups: Mapping[str, Sequence[str]]) -> Table:
    digits = digits_of(metric)
    rows: list[list[str]] = [
        [arm, *(average(scores, names, metric).show(digits) for names in groups.values())]
        for arm, scores in results.arms.items()
    ]
    return Table(title, ["arm", *(f"{label} ({len(names)})" for label, names in groups.items())], rows)


def directions_table(results: Results, metric: str = "chrf++") -> Table:
    """One row per direction, one column per arm; marked where an arm differs from `dense`."""
    return _by_direction(results, metric, directions_of(results), f"{label_of(metric)} by direction")


def zero_shot_table(results: Results, metric: str = "chrf++") -> Table | None:
    """One row per untrained direction, and their mean; None if there are none."""
    names = [name for name in directions_of(results) if name in results.zero_shot]
    if not names:
        return None
    title = f"{label_of(metric)} of zero-shot directions (masks composed)"
    table = _by_direction(results, metric, names, title)
    digits = digits_of(metric)
    means = [average(scores, names, metric).show(digits) for scores in results.arms.values()]
    return Table(title, table.columns, [[f"mean of {len(names)}", "", *means], *table.rows], table.note)


def _by_direction(results: Results, metric: str, names: Sequence[str], title: str) -> Table:
    arms = results.arms
    digits = digits_of(metric)

    def cell(arm: str, name: str) -> Cell:
        test = results.difference(arm, "dense", metric, name) if "dense" in arms else None
        return average(arms[arm], [name], metric).show(digits, mark=marks(test))

    rows: list[list[str]] = [[name, _names(name), *(cell(arm, name) for arm in arms)] for name in names]
    marked = "dense" in arms and results.significance is not None and metric != "loss"
    below = f"Marks: against dense. {note(results)}" if marked else ""
    return Table(title, ["direction", "languages", *arms], rows, below)


def _names(direction: str) -> str:
    parsed = Direction.parse(direction)
    return f"{name_of(parsed.source)} → {name_of(parsed.target)}"
