"""Adaptation: what arms gain in the directions that they were trained on, and what that does to the others.

A gain is worth what it costs elsewhere, so both are shown side by side, over `base`, for every arm.
"""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, digits_of, gain_cell, label_of, note, trained_directions
from neuronspec.scoring.significance import Group

OFF_TARGET = "off_target"


def groups_of(directions: Sequence[str], zero_shot: Sequence[str], adapted: Sequence[str]) -> dict[Group, list[str]]:
    """The groups of directions that get an average of their own.

    Args:
        directions: all that were to be evaluated.
        zero_shot: those of them that weren't trained.
        adapted: those that arms train on; empty where they train on all.
    """
    trained = [name for name in directions if name not in set(zero_shot)]
    groups: dict[Group, list[str]] = {"average": trained, "zero_shot": list(zero_shot)}
    if adapted:
        groups["adapted"] = [name for name in trained if name in set(adapted)]
        groups["others"] = [name for name in trained if name not in set(adapted)]
    return groups


def adaptation_table(results: Results, metric: str = "chrf++") -> Table | None:
    """One row per arm: its gain over `base` in the adapted directions, its change in the others and in zero-shot ones.

    None where arms were trained on all directions.
    """
    if not results.adapted or "base" not in results.arms:
        return None
    groups = groups_of(trained_directions(results), [], results.adapted) | {"zero_shot": results.zero_shot}
    shown: list[Group] = [group for group in ("adapted", "others", "zero_shot") if groups.get(group)]
    off_target = [group for group in shown if _has_off_target(results, groups[group])]
    rows: list[list[str]] = []
    for arm, scores in results.arms.items():
        if arm == "copy":
            continue
        cells: list[str] = [arm]
        for group in shown:
            cells += [
                gain_cell(results, arm, "base", groups[group], metric, group),
                _interval(results, arm, metric, group),
            ]
        cells += [average(scores, groups[group], OFF_TARGET).show(digits_of(OFF_TARGET)) for group in off_target]
        rows.append(cells)
    names = {"adapted": "gain, adapted", "others": "change, others", "zero_shot": "change, zero-shot"}
    heads = ["arm"]
    for group in shown:
        heads += [f"{names[group]} ({len(groups[group])})", "95%"]
    heads += [f"{label_of(OFF_TARGET)}, {names[group].split(', ')[1]}" for group in off_target]
    title = f"Adaptation to {', '.join(results.adapted)}: {label_of(metric)} over base"
    return Table(
        title, heads, rows, f"95%: for other sentences in these directions, with this training. {note(results)}"
    )


def _interval(results: Results, arm: str, metric: str, group: Group) -> Cell:
    """The interval of the mean difference from `base` in these directions, whose users ask about them."""
    mean = results.significance.average(arm, "base", metric, group) if results.significance and arm != "base" else None
    bounds = mean and mean.these_directions
    if not bounds:
        return Cell("")
    digits = digits_of(metric) + 1
    return Cell.interval(bounds.low, bounds.high, digits)


def _has_off_target(results: Results, names: Sequence[str]) -> bool:
    return any(
        scores[name].get(OFF_TARGET) is not None for scores in results.arms.values() for name in names if name in scores
    )
