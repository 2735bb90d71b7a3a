"""The tables of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.results import MAIN_SCORES, Results
from neuronspec.evaluation.tables import (
    digits_of,
    directions_table,
    families_table,
    label_of,
    other_scores_table,
    tiers_table,
    zero_shot_table,
)


def _notes(results: Mapping[str, Any]) -> tuple[str, str]:
    """What the marks and the columns mean: of the entries, and of the differences."""
    several = len(results.get("base_seeds") or ()) > 1
    over, given = ("baselines", "") if several else ("seeds", ", given this baseline")
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


def sweep_tables(results: Mapping[str, Any]) -> dict[str, Table]:
    """All tables by file name."""
    scores = Results.model_validate(results)
    found = {
        "entries": entries_table(results),
        "zero_shot_entries": entries_table(results, "zero-shot") if results["zero_shot"] else None,
        "tiers": tiers_table(scores),
        "bleu_tiers": tiers_table(scores, "bleu"),
        "families": families_table(scores),
        "differences": differences_table(results),
        "costs": costs_table(results),
        "zero_shot": zero_shot_table(scores),
        "other_scores": other_scores_table(scores),
        "directions": directions_table(scores),
    }
    return {name: table for name, table in found.items() if table is not None}


def entries_table(results: Mapping[str, Any], group: str = "all") -> Table:
    """One row per entry: scores, and the gain in chrF++ over each baseline."""
    baselines = sorted(
        {name for gains in results["differences"].values() for name in gains},
        key=lambda name: results["baselines"].index(name.partition("+")[0]),
    )
    rows: list[list[str]] = []
    for label in results["arms"]:
        entry = results["entries"].get(label)
        means = entry["means"].get(group, {}) if entry else _plain(results, label, group)
        scores = [_mean(means.get(metric), digits_of(metric)) for metric in MAIN_SCORES]
        gains = [_gain(results, label, baseline, "chrf++", group) for baseline in baselines]
        sparsity = entry["sparsity"] if entry else None
        seeds = _trainings(entry) if entry else Cell("")
        share = Cell("" if sparsity is None else f"{sparsity:.0%}", sparsity)
        rows.append([label, seeds, share, *scores, *gains])
    heads = ["entry", "seeds", "sparsity", *map(label_of, MAIN_SCORES)]
    heads += [f"chrF++ over {baseline}" for baseline in baselines]
    return Table(f"{results['sweep']}: {group} directions", heads, rows, _notes(results)[0])


def _trainings(entry: Mapping[str, Any]) -> Cell:
    """The number of seeds; `2 x 3` for three seeds on each of two baselines."""
    bases, seeds = len(entry["base_seeds"]), len(entry["seeds"])
    return Cell(f"{bases} x {seeds}" if bases else str(seeds), max(bases, 1) * seeds)


def _plain(results: Mapping[str, Any], label: str, group: str) -> dict[str, Any]:
    """`base` and `copy` have no seeds."""
    zero_shot = set(results["zero_shot"])
    names = [name for name in results["directions"] if (name in zero_shot) == (group == "zero-shot")]
    found = {}
    for metric in MAIN_SCORES if group in ("all", "zero-shot") else ():
        values = [results["arms"][label].get(name, {}).get(metric) for name in names]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            found[metric] = {"mean": sum(known) / len(known), "sd": None}
    return found


def _mean(summary: Mapping[str, Any] | None, digits: int) -> Cell:
    if summary is None:
        return Cell("–", None)
    deviation = "" if summary["sd"] is None else f" ± {summary['sd']:.{digits}f}"
    return Cell(f"{summary['mean']:.{digits}f}{deviation}", summary["mean"])


def _gain(results: Mapping[str, Any], label: str, baseline: str, metric: str, group: str) -> Cell:
    found = results["differences"].get(label, {}).get(baseline, {}).get(metric, {}).get(group)
    if found is None:
        return Cell("")
    return _difference(found)


def _difference(found: Mapping[str, Any]) -> Cell:
    bounds = found["other_directions"]
    mark = "*" if bounds is not None and (bounds["low"] > 0 or bounds["high"] < 0) else ""
    return Cell(f"{found['difference']:+.2f}{mark}", found["difference"], found["n"], found["of"], mark)


def _bounds(bounds: Mapping[str, float] | None) -> Cell:
    return Cell("–" if bounds is None else f"{bounds['low']:+.2f} to {bounds['high']:+.2f}")


def differences_table(results: Mapping[str, Any], metric: str = "chrf++") -> Table | None:
    """One row per entry, baseline and group of directions; None if nothing was compared."""
    rows: list[list[str]] = []
    for label, baselines in results["differences"].items():
        for baseline, found in baselines.items():
            for group, one in found.get(metric, {}).items():
                seeds, r = one["seeds"], one["correlation"]
                rows.append(
                    [
                        f"{label} − {baseline}: {group}",
                        _difference(one),
                        *(_bounds(one[name]) for name in ("these_trainings", "other_trainings", "other_directions")),
                        Cell("–" if seeds["sd"] is None else f"{seeds['sd']:.2f}", seeds["sd"]),
                        Cell("–" if seeds["p"] is None else f"{seeds['p']:.3f}", seeds["p"]),
                        Cell("–" if r is None else f"{r:.2f}", r),
                    ]
                )
    over = "baselines" if len(results.get("base_seeds") or ()) > 1 else "seeds"
    heads = [
        "entries and directions", label_of(metric), "95%, these trainings", f"95%, other {over}",
        f"95%, other directions and {over}", "sd", "p" if over == "baselines" else "p, given this baseline", "r",
    ]  # fmt: skip
    return Table(f"Differences in {label_of(metric)}", heads, rows, _notes(results)[1]) if rows else None


def costs_table(results: Mapping[str, Any]) -> Table:
    """One row per entry: parameters, time and memory."""
    rows: list[list[str]] = []
    for label, entry in results["entries"].items():
        cost = entry["cost"]
        rows.append(
            [
                label,
                Cell(f"{cost['trained_parameters']:,}", cost["trained_parameters"]),
                Cell(f"{cost['extra_parameters']:,}", cost["extra_parameters"]),
                Cell(f"{cost['prepare_seconds']:.0f} s", cost["prepare_seconds"]),
                Cell(
                    "–" if cost["update_seconds"] is None else f"{cost['update_seconds'] * 1000:.0f} ms",
                    cost["update_seconds"],
                ),
                Cell(f"{cost['peak_memory'] / 2**20:.0f} MB", cost["peak_memory"]),
            ]
        )
    heads = ["entry", "trained parameters", "extra parameters", "preparing", "an update", "peak memory"]
    return Table("What each entry takes", heads, rows, "An update: the median, as measured while the sweep ran.")
