"""A long continuation where directions interfere: its part of docs/results.md, from a file of `benchmarks/sweep.py`."""

from __future__ import annotations

from pathlib import Path

import sweep_words
import yaml
from frontier_sections import read
from sweep_words import mean, over, told

from neuronspec.sweep.sweep_results import Bounds, SweepResults, verdict

RECIPE = Path(__file__).parents[2] / "recipes" / "interference.yaml"
FILE = "interference.json"
SPECIALIZED = ("specialized", "gradient")


def section(folder: Path) -> list[str]:
    """Whether directions interfere, and what masks and neuron-targeted updates gain in a long continuation.

    Args:
        folder: of the result files.
    """
    content, results = read(folder / FILE)
    model = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    updates, more = model["training"]["updates"], model["continuation"]["updates"]
    return [
        "## A long continuation where directions interfere",
        "",
        f"**{_summary(results)}**",
        "",
        f"{told(content, 'six unrelated languages')} A small model with dropout; its baseline is trained for "
        f"{updates:,} updates, and each arm continues for {more:,}. One seed, and a weak model "
        f"({mean(results, 'dense'):.1f} chrF++ at the end), so all intervals are for other sentences alone.",
        "",
        f"- *Do they interfere?* {_interference(results)}",
        *(over(results, name, control) for name in SPECIALIZED for control in ("dense", "random")),
        f"- *What is left out?* Per direction, {_left_out(results)} of the FFN neurons. Times in [the "
        "tables](tables/interference.md) were taken beside other work and aren't compared.",
        "",
    ]


def tables(folder: Path) -> list[str]:
    """All tables of the sweep."""
    return sweep_words.tables(*read(folder / FILE), "six unrelated languages")


def _bounds(results: SweepResults, entry: str, control: str) -> Bounds | None:
    return results.differences[entry][control]["chrf++"]["all"].these_trainings


def _summary(results: SweepResults) -> str:
    """What the masks gain over both controls, by the margin of the sweep."""
    margin = results.margin or 0.0
    words = {
        "better": "better than {}",
        "no worse": f"no worse than {{}} (margin {margin} chrF++)",
        "worse": "worse than {}",
        "open": f"neither better than {{}} nor, by the margin of {margin} chrF++, no worse",
    }
    found = [
        words[verdict(_bounds(results, "specialized", control), margin)].format(f"`{control}`")
        for control in ("dense", "random")
    ]
    return f"With this baseline and seed, specialized is {' and '.join(found)}."


def _interference(results: SweepResults) -> str:
    """The multilingual models against those of one direction, on the test text."""
    told = []
    for direction, alone in results.arms["bilingual"].items():
        parts = [
            f"{results.arms[name][direction].get('chrf++') - alone.get('chrf++'):+.1f} chrF++ and "
            f"{results.arms[name][direction].get('loss') - alone.get('loss'):+.2f} nats ({name})"
            for name in ("base", "dense")
        ]
        told.append(f"{direction} {', '.join(parts)}")
    return (
        "The multilingual model before and after the continuation, against bilingual models of the same shape: "
        f"{'; '.join(told)}. These have as many updates as the baseline, all of them in their own direction, so the "
        "gap is one of training time, too."
    )


def _left_out(results: SweepResults) -> str:
    return ", ".join(f"`{name}` {results.entries[name].sparsity:.0%}" for name in SPECIALIZED)
