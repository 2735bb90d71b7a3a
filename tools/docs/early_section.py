"""Specialization early in a training: its part of docs/results.md, from files of `benchmarks/sweep.py`."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from frontier_sections import read
from grids import titled

from neuronspec.sweep.sweep_results import GroupDifference, SweepResults
from neuronspec.sweep.sweep_tables import costs_table, entries_table

RECIPES = Path(__file__).parents[2] / "recipes"
CONTROLS = ("dense", "random")
FILES = ("early_demo.json", "early.json")


def section(folder: Path) -> list[str]:
    """What specializing from 30% of the training on gains over training all weights to the end, and the table.

    Args:
        folder: of the result files.
    """
    (demo, of_demo), (bible, of_bible) = (read(folder / name) for name in FILES)
    return [
        "## Specialized from 30% of the training on",
        "",
        _summary(of_demo),
        "",
        f"{_told(demo)} Each of {len(demo['base_seeds'])} baselines is stopped after {_budgets(demo)}. The learning "
        f"rate is the one of four at which `dense` is best (`recipes/sweeps/{demo['evidence']}-tuning.yaml`), and "
        f"`dense` ends at {_mean(of_demo, 'dense'):.1f} chrF++.",
        "",
        *_verdict(of_demo),
        "",
        f"{_told(bible)} The baseline is stopped after {_budgets(bible)}. One seed, and a model that doesn't translate "
        f"yet ({_mean(of_bible, 'specialized'):.0f} chrF++):",
        "",
        *_verdict(of_bible),
        "",
        "[Their tables](tables/early.md).",
        "",
    ]


def tables(folder: Path) -> list[str]:
    """All tables of both sweeps."""
    lines = []
    for content, results in (read(folder / name) for name in FILES):
        lines += [f"## {content['evidence']}", "", _told(content), "", *titled(entries_table(results))]
        lines += titled(costs_table(results))
    return lines


def _told(results: dict[str, Any]) -> str:
    machine = results["machine"]
    return (
        f"`recipes/sweeps/{results['evidence']}.yaml`, commit {results['commit']}, on {machine['cpu']}, "
        f"{machine['cores']} cores, torch {machine['torch']}: {len(results['directions'])} directions between English "
        "and six languages."
    )


def _budgets(results: dict[str, Any]) -> str:
    changed = yaml.safe_load((RECIPES / "sweeps" / f"{results['evidence']}.yaml").read_text(encoding="utf-8"))["set"]
    early, rest = changed["training.updates"], changed["continuation.updates"]
    return f"{early:,} of {early + rest:,} updates, and each arm gets the other {rest:,}"


def _mean(results: SweepResults, entry: str) -> float:
    return results.entries[entry].means["all"]["chrf++"].mean


def _summary(results: SweepResults) -> str:
    """Whether specializing wins over both controls, in words."""
    found = [results.differences["specialized"][control]["chrf++"]["all"] for control in CONTROLS]
    intervals = [each.other_directions for each in found if each.other_directions is not None]
    if len(intervals) == len(CONTROLS) and all(each.low > 0 for each in intervals):
        return "**Specializing early wins here** over both controls, beyond chance."
    if any(each.excludes_zero for each in intervals):
        return "**Specializing early doesn't win over both controls here.**"
    return (
        "**Specializing early isn't told apart from either control here**, from training all neurons or from random "
        "masks of the same size."
    )


def _verdict(results: SweepResults) -> list[str]:
    return [*(_over(results, "specialized", control) for control in CONTROLS), _over(results, "gradient", "dense")]


def _over(results: SweepResults, entry: str, control: str) -> str:
    """An entry against a control, in words."""
    found = results.differences[entry][control]["chrf++"]["all"]
    mine, theirs = results.arms[entry], results.arms[control]
    better = sum(mine[one].get("chrf++") > theirs[one].get("chrf++") for one in mine)
    one, other = (results.entries[name].means["all"]["loss"].values for name in (entry, control))
    falls = [right - left for left, right in zip(one, other, strict=True)]
    mean = fmean(falls)
    each = f" ({', '.join(f'{-fall:+.3f}' for fall in falls)})" if len(falls) > 1 else ""
    return (
        f"- **{entry} is {found.difference:+.2f} chrF++ over {control}**{_interval(found)}, higher in {better} of "
        f"{len(mine)} directions. Its loss is {abs(mean):.3f} nats {'lower' if mean > 0 else 'higher'}{each}."
    )


def _interval(found: GroupDifference) -> str:
    if found.other_directions is not None:
        bounds, over = found.other_directions, f"other directions of this kind and other {found.over}"
        beyond = ", beyond chance" if bounds.excludes_zero else ", not beyond chance"
    else:
        bounds, over, beyond = found.these_trainings, "other sentences alone", ""
    return f" (95% for {over} {bounds.low:+.2f} to {bounds.high:+.2f}{beyond})" if bounds else ""
