"""What sweeps over continuations say, in words and tables, from the files of `benchmarks/sweep.py`."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from grids import titled

from neuronspec.sweep.sweep_results import GroupDifference, SweepResults
from neuronspec.sweep.sweep_tables import costs_table, entries_table


def told(results: dict[str, Any], languages: str = "six languages") -> str:
    """What was run and where.

    Args:
        results: the content of the file.
        languages: beside English.
    """
    machine = results["machine"]
    return (
        f"`recipes/sweeps/{results['evidence']}.yaml`, commit {results['commit']}, on {machine['cpu']}, "
        f"{machine['cores']} cores, torch {machine['torch']}: {len(results['directions'])} directions between English "
        f"and {languages}."
    )


def mean(results: SweepResults, entry: str) -> float:
    """The mean chrF++ of an entry, over directions and trainings."""
    return results.entries[entry].means["all"]["chrf++"].mean


def over(results: SweepResults, entry: str, control: str) -> str:
    """A line that says what an entry gains over a control."""
    found = results.differences[entry][control]["chrf++"]["all"]
    mine, theirs = results.arms[entry], results.arms[control]
    better = sum(mine[one].get("chrf++") > theirs[one].get("chrf++") for one in mine)
    one, other = (results.entries[name].means["all"]["loss"].values for name in (entry, control))
    changes = [left - right for left, right in zip(one, other, strict=True)]
    change = fmean(changes)
    each = f" ({', '.join(f'{value:+.3f}' for value in changes)})" if len(changes) > 1 else ""
    return (
        f"- **{entry} is {found.difference:+.2f} chrF++ over {control}**{_interval(found)}, higher in {better} of "
        f"{len(mine)} directions. Its loss is {abs(change):.3f} nats {'lower' if change < 0 else 'higher'}{each}."
    )


def _interval(found: GroupDifference) -> str:
    if found.other_directions is not None:
        bounds, kind = found.other_directions, f"other directions of this kind and other {found.over}"
        beyond = ", beyond chance" if bounds.excludes_zero else ", not beyond chance"
    else:
        bounds, kind, beyond = found.these_trainings, "other sentences alone", ""
    return f" (95% for {kind} {bounds.low:+.2f} to {bounds.high:+.2f}{beyond})" if bounds else ""


def tables(content: dict[str, Any], results: SweepResults, languages: str = "six languages") -> list[str]:
    """All tables of a sweep; the arguments are those of `told`, and the file with its types."""
    lines = [f"## {content['evidence']}", "", told(content, languages), "", *titled(entries_table(results))]
    return [*lines, *titled(costs_table(results))]
