"""The tables of a sweep."""

from __future__ import annotations

from statistics import fmean

from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.results import MAIN_SCORES
from neuronspec.evaluation.tables import (
    digits_of,
    directions_table,
    families_table,
    label_of,
    other_scores_table,
    tiers_table,
    zero_shot_table,
)
from neuronspec.sweep.frontier import MEASURES, frontiers
from neuronspec.sweep.sweep_results import Bounds, Entry, GroupDifference, Spread, SweepResults, verdict


def _notes(results: SweepResults) -> tuple[str, str]:
    """What the marks and the columns mean: of the entries, and of the differences."""
    over, given = results.over, "" if results.over == "baselines" else ", given this baseline"
    star = (
        f"* the 95% interval for other directions of this kind and other {over}{given} excludes 0; nothing is marked "
        f"with one {over.removesuffix('s')}."
    )
    entries = f"Mean over directions ± standard deviation over trainings. Gains: {star}"
    differences = (
        f"{star} Intervals for: other sentences, with these directions and trainings; other {over}{given}, and "
        f"sentences, with these directions; other directions, {over} and sentences. sd and p (paired t-test): over "
        f"{over}{given}. r: mean correlation of two directions' differences, from the sentences they share."
    )
    return entries, differences


def sweep_tables(results: SweepResults) -> dict[str, Table]:
    """All tables by file name."""
    found = {
        "entries": entries_table(results),
        "zero_shot_entries": entries_table(results, "zero-shot") if results.zero_shot else None,
        "tiers": tiers_table(results),
        "bleu_tiers": tiers_table(results, "bleu"),
        "families": families_table(results),
        "differences": differences_table(results),
        "frontier": frontier_table(results),
        "frontier_loss": frontier_table(results, "loss"),
        "costs": costs_table(results),
        "zero_shot": zero_shot_table(results),
        "other_scores": other_scores_table(results),
        "directions": directions_table(results),
    }
    return {name: table for name, table in found.items() if table is not None}


def entries_table(results: SweepResults, group: str = "all") -> Table:
    """One row per entry: scores, and the gain in chrF++ over each baseline."""
    compared = dict.fromkeys(name for gains in results.differences.values() for name in gains)
    baselines = sorted(compared, key=lambda name: results.baselines.index(name.partition("+")[0]))
    rows: list[list[str]] = []
    for label in results.arms:
        entry = results.entries.get(label)
        means = entry.means.get(group, {}) if entry else _plain(results, label, group)
        scores = [_mean(means.get(metric), digits_of(metric)) for metric in MAIN_SCORES]
        gains = [_gain(results, label, baseline, "chrf++", group) for baseline in baselines]
        sparsity = entry.sparsity if entry else None
        seeds = _trainings(entry) if entry else Cell("")
        share = Cell("" if sparsity is None else f"{sparsity:.0%}", sparsity)
        rows.append([label, seeds, share, *scores, *gains])
    heads = ["entry", "seeds", "sparsity", *map(label_of, MAIN_SCORES)]
    heads += [f"chrF++ over {baseline}" for baseline in baselines]
    return Table(f"{results.sweep}: {group} directions", heads, rows, _notes(results)[0])


def frontier_table(results: SweepResults, metric: str = "chrf++") -> Table | None:
    """One row per method: what it gains in the adapted directions at some budgets of forgetting in the others.

    Args:
        results: of the sweep.
        metric: a key of `MEASURES`.

    Returns:
        None where nothing is adapted.
    """
    unit, budgets, digits = MEASURES[metric]
    found = frontiers(results, metric)
    if not found:
        return None
    methods = {label.partition("+")[0]: entry.method for label, entry in results.entries.items()}
    reference = next((each for each in found if each.method == methods.get(results.baselines[0])), None)
    rows: list[list[str]] = []
    for frontier in found:
        cells: list[str] = [frontier.method, Cell(str(len(frontier.points)), len(frontier.points))]
        for budget in budgets:
            at = frontier.at(budget)
            bounds = at.interval
            between = Cell.interval(bounds.low, bounds.high, digits) if bounds else Cell("")
            cells += [Cell(f"{at.gain:+.{digits}f}", at.gain), between]
            if reference is not None and frontier is not reference:
                value, interval = at.minus(reference.at(budget))
                mark = "*" if interval is not None and interval.excludes_zero else ""
                cells.append(Cell(f"{value:+.{digits}f}{mark}", value, mark=mark))
            elif reference is not None:
                cells.append(Cell(""))
        rows.append(cells)
    heads = ["method", "points"]
    for budget in budgets:
        heads += [f"gain at {budget:g}", "95%"] + ([f"over {reference.method}"] if reference else [])
    lost = f"{', '.join(f'{budget:g}' for budget in budgets[:-1])} and {budgets[-1]:g}"
    what = f"Fall of the loss, in {unit}," if metric == "loss" else f"Gain in {unit}"
    note = (
        f"{what} over base, mean of {len(results.adapted)} adapted directions, where the others lose {lost} on "
        f"average, between two of a method's trainings. Intervals and *: for other {results.over} and other directions "
        "of this kind. Points are chosen by their scores on the test text, for every method alike."
    )
    return Table(f"{results.sweep}: gain at equal forgetting, in {unit}", heads, rows, note)


def _trainings(entry: Entry) -> Cell:
    """The number of seeds; `2 x 3` for three seeds on each of two baselines."""
    bases, seeds = len(entry.base_seeds), len(entry.seeds)
    return Cell(f"{bases} x {seeds}" if bases else str(seeds), entry.trainings)


def _plain(results: SweepResults, label: str, group: str) -> dict[str, Spread]:
    """`base` and `copy` have no seeds."""
    zero_shot = set(results.zero_shot)
    names = [name for name in results.directions if (name in zero_shot) == (group == "zero-shot")]
    found = {}
    for metric in MAIN_SCORES if group in ("all", "zero-shot") else ():
        scores = [results.arms[label].get(name) for name in names]
        known = [value for score in scores if score and (value := score.get(metric)) is not None]
        if known and len(known) == len(names):
            found[metric] = Spread(mean=fmean(known), sd=None, values=known)
    return found


def _mean(summary: Spread | None, digits: int) -> Cell:
    if summary is None:
        return Cell("–", None)
    deviation = "" if summary.sd is None else f" ± {summary.sd:.{digits}f}"
    return Cell(f"{summary.mean:.{digits}f}{deviation}", summary.mean)


def _gain(results: SweepResults, label: str, baseline: str, metric: str, group: str) -> Cell:
    found = results.differences.get(label, {}).get(baseline, {}).get(metric, {}).get(group)
    if found is None:
        return Cell("")
    return _difference(found)


def _difference(found: GroupDifference) -> Cell:
    return Cell(f"{found.difference:+.2f}{found.mark}", found.difference, found.n, found.of, found.mark)


def _bounds(bounds: Bounds | None) -> Cell:
    return Cell("–") if bounds is None else Cell.interval(bounds.low, bounds.high, 2)


def differences_table(results: SweepResults, metric: str = "chrf++") -> Table | None:
    """One row per entry, baseline and group of directions; None if nothing was compared."""
    rows: list[list[str]] = []
    margin = results.margin if metric == "chrf++" else None
    for label, baselines in results.differences.items():
        for baseline, found in baselines.items():
            for group, one in found.get(metric, {}).items():
                seeds, r = one.seeds, one.correlation
                rows.append(
                    [
                        f"{label} − {baseline}: {group}",
                        _difference(one),
                        *map(_bounds, (one.these_trainings, one.other_trainings, one.other_directions)),
                        Cell("–" if seeds.sd is None else f"{seeds.sd:.2f}", seeds.sd),
                        Cell("–" if seeds.p is None else f"{seeds.p:.3f}", seeds.p),
                        Cell("–" if r is None else f"{r:.2f}", r),
                        *([] if margin is None else [verdict(one.other_directions, margin)]),
                    ]
                )
    over = results.over
    heads = [
        "entries and directions", label_of(metric), "95%, these trainings", f"95%, other {over}",
        f"95%, other directions and {over}", "sd", "p" if over == "baselines" else "p, given this baseline", "r",
    ]  # fmt: skip
    note = _notes(results)[1]
    if margin is not None:
        heads.append(f"margin {margin:g}")
        note += (
            f" Last column, by the interval for other directions and {over}: better: above 0; no worse: above "
            f"-{margin:g}; worse: below 0; open: none of these."
        )
    return Table(f"Differences in {label_of(metric)}", heads, rows, note) if rows else None


def costs_table(results: SweepResults) -> Table:
    """One row per entry: parameters, time and memory."""
    rows: list[list[str]] = []
    for label, entry in results.entries.items():
        cost = entry.cost
        rows.append(
            [
                label,
                Cell(f"{cost.trained_parameters:,}", cost.trained_parameters),
                Cell(f"{cost.extra_parameters:,}", cost.extra_parameters),
                Cell(f"{cost.prepare_seconds:.0f} s", cost.prepare_seconds),
                Cell(
                    "–" if cost.update_seconds is None else f"{cost.update_seconds * 1000:.0f} ms",
                    cost.update_seconds,
                ),
                Cell(f"{cost.peak_memory / 2**20:.0f} MB", cost.peak_memory),
            ]
        )
    heads = ["entry", "trained parameters", "extra parameters", "preparing", "an update", "peak memory"]
    return Table("What each entry takes", heads, rows, "An update: the median, as measured while the sweep ran.")
