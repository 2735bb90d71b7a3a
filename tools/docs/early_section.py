"""Specialization early in a training: its part of docs/results.md, from files of `benchmarks/sweep.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sweep_words
import yaml
from frontier_sections import read
from sweep_words import mean, over, told

from neuronspec.sweep.sweep_results import SweepResults

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
        f"{told(demo)} Each of {len(demo['base_seeds'])} baselines is stopped after {_budgets(demo)}. The learning "
        f"rate is the one of four at which `dense` is best (`recipes/sweeps/{demo['evidence']}-tuning.yaml`), and "
        f"`dense` ends at {mean(of_demo, 'dense'):.1f} chrF++.",
        "",
        *_verdict(of_demo),
        "",
        f"{told(bible)} The baseline is stopped after {_budgets(bible)}. One seed, and a model that doesn't translate "
        f"yet ({mean(of_bible, 'specialized'):.0f} chrF++):",
        "",
        *_verdict(of_bible),
        "",
        "[Their tables](tables/early.md).",
        "",
    ]


def tables(folder: Path) -> list[str]:
    """All tables of both sweeps."""
    return [line for name in FILES for line in sweep_words.tables(*read(folder / name))]


def _budgets(results: dict[str, Any]) -> str:
    changed = yaml.safe_load((RECIPES / "sweeps" / f"{results['evidence']}.yaml").read_text(encoding="utf-8"))["set"]
    early, rest = changed["training.updates"], changed["continuation.updates"]
    return f"{early:,} of {early + rest:,} updates, and each arm gets the other {rest:,}"


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
    return [*(over(results, "specialized", control) for control in CONTROLS), over(results, "gradient", "dense")]
