"""The tables of `neuronspec compare`."""

from __future__ import annotations

from collections.abc import Mapping

from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.compare import ExperimentsCompared, SeedsCompared
from neuronspec.evaluation.results import MAIN_SCORES
from neuronspec.evaluation.seeds import SeedDifference, SeedSummary
from neuronspec.evaluation.tables import digits_of, label_of
from neuronspec.evaluation.transfer import INTERVALS, INTERVALS_NOTE, interval_cells
from neuronspec.scoring.significance import LEVEL, METHOD_NOTE, Comparison, marks

_SEEDS_NOTE = (
    f"Mean ± standard deviation over the seeds of means over directions. * p < {LEVEL}, paired t-test over seeds: it "
    "holds for other seeds in these directions. Every run has a baseline of its own."
)


def compare_tables(content: SeedsCompared | ExperimentsCompared) -> dict[str, Table]:
    """The tables of what `compare_runs` returns, by name."""
    return seeds_tables(content) if isinstance(content, SeedsCompared) else experiments_tables(content)


def seeds_tables(content: SeedsCompared) -> dict[str, Table]:
    """The result of `compare_seeds`: arms, and pairs of arms."""
    seeds = content.seeds
    title = f"Arms over {len(seeds)} seeds ({', '.join(map(str, seeds))})"
    shown = [metric for metric in MAIN_SCORES if any(metric in arm for arm in content.arms.values())]
    labels = [label_of(metric) for metric in shown]
    rows: list[list[str]] = [
        [arm, *(_mean_cell(found.get(metric), digits_of(metric)) for metric in shown)]
        for arm, found in content.arms.items()
    ]
    arms = Table(title, ["arm", *labels], rows, _SEEDS_NOTE)
    pair_rows: list[list[str]] = []
    for arm, others in content.pairs.items():
        for control, found in others.items():
            cells = [
                cell
                for metric in shown
                for cell in (
                    _mean_cell(found.get(metric), digits_of(metric) + 1, signed=True),
                    _interval(found.get(metric), digits_of(metric) + 1),
                    _p(found.get(metric)),
                )
            ]
            pair_rows.append([f"{arm} − {control}", *cells])
    heads = [head for label in labels for head in (label, "95%, other seeds", f"p ({label})")]
    return {"arms": arms, "pairs": Table("Differences within a seed", ["arms", *heads], pair_rows, _SEEDS_NOTE)}


def _mean_cell(summary: SeedSummary | None, digits: int, *, signed: bool = False) -> Cell:
    if summary is None:
        return Cell("–")
    mark = "*" if summary.p is not None and summary.p < LEVEL else ""
    deviation = f" ± {summary.deviation:.{digits}f}" if summary.deviation is not None else ""
    return Cell(f"{summary.mean:{'+' if signed else ''}.{digits}f}{mark}{deviation}", summary.mean, mark=mark)


def _interval(summary: SeedSummary | None, digits: int) -> Cell:
    found = summary.interval if summary is not None else None
    return Cell("–") if found is None else Cell.interval(found.low, found.high, digits)


def _p(summary: SeedSummary | SeedDifference | None) -> Cell:
    if summary is None or summary.p is None:
        return Cell("–")
    return Cell(f"{summary.p:.3f}", summary.p)


def experiments_tables(content: ExperimentsCompared) -> dict[str, Table]:
    """The result of `compare_experiments`."""
    first, second = " ".join(content.first), " ".join(content.second)
    if content.seeds is not None:
        return {"seeds": _seeds_table(content.seeds, first, second)}
    tests = content.sentences or {}
    return {
        "differences": _differences_table(tests, first, second),
        **{
            f"{name}_by_direction": _directions_table(tests, content.directions, metric)
            for metric, name in (("bleu", "bleu"), ("chrf++", "chrf"))
        },
    }


def _seeds_table(arms: Mapping[str, Mapping[str, SeedDifference]], first: str, second: str) -> Table:
    rows: list[list[str]] = []
    for arm, metrics in arms.items():
        for metric, found in metrics.items():
            label, digits = label_of(metric), digits_of(metric)
            significant = found.p is not None and found.p < LEVEL
            mark = "*" if significant else ""
            difference = Cell(f"{found.difference:+.{digits + 1}f}{mark}", found.difference, mark=mark)
            sides = [_mean_cell(side, digits) for side in (found.first, found.second)]
            rows.append([f"{arm}: {label}", *sides, difference, _p(found), found.test])
    note = (
        f"Mean ± standard deviation over seeds of means over directions. * p < {LEVEL} in the test named: it holds for "
        "other seeds in these directions."
    )
    return Table(f"{second} against {first}", ["", "first", "second", "difference", "p", "test"], rows, note)


def _differences_table(arms: Mapping[str, Mapping[str, Comparison]], first: str, second: str) -> Table:
    rows: list[list[str]] = []
    for arm, metrics in arms.items():
        for metric, found in metrics.items():
            mean, tests = found.average, found.directions.values()
            if metric not in MAIN_SCORES or mean is None:
                continue
            label, digits = label_of(metric), digits_of(metric)
            mark = "*" if mean.significant else ""
            shown = f"{mean.difference:+.{digits + 1}f}{mark}"
            missing = f" ({mean.n} of {mean.of})" if mean.n < mean.of else ""
            better, worse = ([t for t in tests if t.difference * side > 0] for side in (1, -1))
            counts = [f"{len(side)} ({sum(t.significant for t in side)})" for side in (better, worse)]
            rows.append(
                [
                    f"{arm}: {label}",
                    Cell(shown + missing, mean.difference, mean.n, mean.of, mark),
                    *interval_cells(mean, digits + 1),
                    *counts,
                ]
            )
    heads = ["", "difference", *INTERVALS, f"better in (p < {LEVEL})", f"worse in (p < {LEVEL})"]
    return Table(f"{second} minus {first}", heads, rows, f"{METHOD_NOTE} {INTERVALS_NOTE}")


def _directions_table(arms: Mapping[str, Mapping[str, Comparison]], directions: list[str], metric: str) -> Table:
    label, digits = label_of(metric), digits_of(metric)

    def cell(arm: str, name: str) -> Cell:
        test = arms[arm][metric].directions.get(name) if metric in arms[arm] else None
        if test is None:
            return Cell("–")
        mark = marks(test)
        return Cell(f"{test.difference:+.{digits}f}{mark}", test.difference, mark=mark)

    rows: list[list[str]] = [[name, *(cell(arm, name) for arm in arms)] for name in directions]
    return Table(f"Difference in {label} by direction", ["direction", *arms], rows, METHOD_NOTE)
