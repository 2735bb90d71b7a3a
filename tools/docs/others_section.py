"""Other ways to specialize: their part of docs/results.md, from a file of `benchmarks/sweep.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sweep_words
import yaml
from frontier_sections import read
from sweep_words import mean, over, told

from neuronspec.sweep.sweep_results import SweepResults

RECIPES = Path(__file__).parents[2] / "recipes"
FILE = "others_demo.json"


def section(folder: Path) -> list[str]:
    """What each way gains over training all weights, and what `specialized` gains over random masks.

    Args:
        folder: of the result files.
    """
    content, results = read(folder / FILE)
    base, changed = (_settings(path) for path in ("demo.yaml", f"sweeps/{content['evidence']}.yaml"))
    updates, more = base["training"]["updates"], changed["set"]["continuation.updates"]
    others = [name for name in results.entries if name != "dense"]
    return [
        "## Other ways to specialize",
        "",
        _summary(results, others),
        "",
        f"{told(content)} Each of {len(content['base_seeds'])} baselines ({updates:,} updates) continues for {more:,} "
        "updates. Learning rates are the best of five for `dense`, `specialized`, `lora` and `adapters_direction` "
        f"(`recipes/sweeps/{content['evidence']}-tuning.yaml`; of the last two, the highest), and for the others that "
        "of the one most like them. "
        f"`dense` ends at {mean(results, 'dense'):.1f} chrF++. {len(others)} comparisons with it, not corrected.",
        "",
        *(over(results, name, "dense") for name in sorted(others, key=lambda name: -_gain(results, name))),
        over(results, "specialized", "random"),
        "",
        "[Their tables](tables/others.md).",
        "",
    ]


def tables(folder: Path) -> list[str]:
    """All tables of the sweep."""
    return sweep_words.tables(*read(folder / FILE))


def _settings(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))
    return content


def _gain(results: SweepResults, entry: str) -> float:
    return results.differences[entry]["dense"]["chrf++"]["all"].difference


def _summary(results: SweepResults, others: list[str]) -> str:
    """Which ways differ from dense beyond chance, in words."""
    kinds: dict[str, list[str]] = {"better than": [], "worse than": [], "not told apart from": []}
    for name in others:
        found = results.differences[name]["dense"]["chrf++"]["all"]
        sure = found.other_directions is not None and found.other_directions.excludes_zero
        kind = ("better than" if found.difference > 0 else "worse than") if sure else "not told apart from"
        kinds[kind].append(f"`{name}`")
    told = "; ".join(f"{kind} `dense`: {', '.join(names)}" for kind, names in kinds.items() if names)
    return f"Beyond chance for other directions of this kind and other baselines: **{told}.**"
