"""Interference and transfer: what each arm gains over `base` and over bilingual models, and who pays and who profits.

A multilingual model that is worse than bilingual ones in a direction suffers interference there; one that is better has
transfer. Over `base` the same numbers say what an arm changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.adaptation import adaptation_table
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import (
    Average,
    arms_table,
    average_gain,
    digits_of,
    directions_of,
    directions_table,
    families_table,
    gains_of,
    group_by_tier,
    label_of,
    note,
    other_scores_table,
    tiers_table,
    trained_directions,
    zero_shot_table,
)
from neuronspec.scoring.significance import LEVEL, Bounds, MeanDifference, marks, method_and_control

INTERVALS = ("95%, these directions", "95%, other directions", "r")
"""The columns of intervals of a mean difference; `INTERVALS_NOTE` says what they are."""
INTERVALS_NOTE = (
    "Intervals of the mean: for other sentences in these directions; for other directions of this kind. Both are for "
    "the models that were trained. r: mean correlation of two directions' differences, from the sentences they share."
)
BASELINES = ("base", "bilingual", "dense")
"""What gains are shown over, where they are arms."""


def transfer_table(results: Results, over: str, metric: str = "chrf++") -> Table | None:
    """One row per arm, one column per tier and way: the mean gain over the arm `over`, and how many directions gain.

    None if `over` is no arm.
    """
    arms = results.arms
    if over not in arms:
        return None
    groups = group_by_tier(results)
    rows: list[list[str]] = [
        [arm, *(_gain_cell(results, arm, over, names, metric) for names in groups.values())]
        for arm in arms
        if arm not in (over, "copy")
    ]
    title = f"Gain in {label_of(metric)} over {over} by resource tier (directions up:down)"
    return Table(title, ["arm", *(f"{label} ({len(names)})" for label, names in groups.items())], rows)


def _gain_cell(results: Results, arm: str, over: str, names: Sequence[str], metric: str) -> Cell:
    gains = gains_of(results.arms[arm], results.arms[over], names, metric)
    mean = average_gain(results.arms[arm], results.arms[over], names, metric)
    shown = mean.show(digits_of(metric), signed=True)
    if mean.value is None:
        return shown
    up, down = sum(gain > 0 for gain in gains.values()), sum(gain < 0 for gain in gains.values())
    return Cell(f"{shown} ({up}:{down})", mean.value, mean.n, mean.of)


def gains_table(results: Results, over: str, metric: str = "chrf++") -> Table | None:
    """One row per direction, one column per arm: the gain over the arm `over`, marked where it is significant.

    None if `over` is no arm.
    """
    arms = results.arms
    if over not in arms:
        return None
    shown = [arm for arm in arms if arm not in (over, "copy")]

    def cell(arm: str, name: str) -> Cell:
        gain = average_gain(arms[arm], arms[over], [name], metric)
        return gain.show(digits_of(metric), signed=True, mark=marks(results.difference(arm, over, metric, name)))

    rows: list[list[str]] = [[name, *(cell(arm, name) for arm in shown)] for name in directions_of(results)]
    below = note(results)
    return Table(f"Gain in {label_of(metric)} over {over} by direction", ["direction", *shown], rows, below)


def significance_table(results: Results, metric: str = "chrf++") -> Table | None:
    """One row per pair of arms: the mean difference with its interval, and in how many directions it is significant.

    None if nothing was tested.
    """
    pairs = results.significance.pairs if results.significance else {}
    names = trained_directions(results)
    rows: list[list[str]] = []
    for arm, others in pairs.items():
        for other in others:
            row = _pair_row(results, *method_and_control(other, arm), metric, names)
            if row is not None:
                rows.append(row)
    if not rows:
        return None
    label = label_of(metric)
    below = (
        f"{note(results)} Better, worse: directions of {len(names)}; in brackets those with p < {LEVEL}, and those "
        f"with Holm's correction. {INTERVALS_NOTE}"
    )
    heads = ["arms", label, *INTERVALS, "better", "worse"]
    return Table(f"Differences in {label}", heads, rows, below)


def _pair_row(results: Results, system: str, baseline: str, metric: str, names: Sequence[str]) -> list[str] | None:
    mean = results.significance.average(system, baseline, metric) if results.significance else None
    if mean is None:
        return None
    digits = digits_of(metric) + 1
    shown = Average(mean.difference, mean.n, mean.of)
    tests = [results.difference(system, baseline, metric, name) for name in names]
    known = [test for test in tests if test is not None]
    cells: list[str] = []
    for side in (1, -1):
        own = [test for test in known if test.difference * side > 0]
        significant = sum(test.significant for test in own), sum(test.significant_corrected for test in own)
        cells.append(f"{len(own)} ({significant[0]}, {significant[1]})")
    mark = "*" if mean.significant else ""
    intervals = interval_cells(mean, digits)
    return [f"{system} − {baseline}", shown.show(digits, signed=True, mark=mark), *intervals, *cells]


def interval_cells(mean: MeanDifference, digits: int) -> list[str]:
    """The cells of the columns `INTERVALS`."""
    return [
        bounds_cell(mean.these_directions, digits),
        bounds_cell(mean.other_directions, digits),
        Cell("–" if mean.correlation is None else f"{mean.correlation:.2f}", mean.correlation),
    ]


def bounds_cell(bounds: Bounds | None, digits: int) -> Cell:
    """`+0.1 to +0.3`; `–` without an interval."""
    return Cell("–") if bounds is None else Cell.interval(bounds.low, bounds.high, digits)


def all_tables(results: Results) -> dict[str, Table]:
    """Every table of a run by file name: what `--tables` writes."""
    found: dict[str, Table | None] = {
        "arms": arms_table(results),
        "other_scores": other_scores_table(results),
        "loss_by_direction": directions_table(results, "loss"),
    }
    for metric, name in (("bleu", "bleu"), ("chrf++", "chrf")):
        found |= {
            f"{name}_by_tier": tiers_table(results, metric),
            f"{name}_by_family": families_table(results, metric),
            f"{name}_by_direction": directions_table(results, metric),
            f"{name}_zero_shot": zero_shot_table(results, metric),
            f"{name}_significance": significance_table(results, metric),
            f"{name}_adaptation": adaptation_table(results, metric),
        }
        for over in BASELINES:
            found[f"{name}_over_{over}_by_tier"] = transfer_table(results, over, metric)
            found[f"{name}_over_{over}_by_direction"] = gains_table(results, over, metric)
    return {name: table for name, table in found.items() if table is not None}
