"""The sweep over early specialization: its part of docs/results.md, from a file of `benchmarks/sweep.py`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import yaml
from grids import titled

from neuronspec.sweep.sweep_results import SweepResults
from neuronspec.sweep.sweep_tables import entries_table

RECIPES = Path(__file__).parents[2] / "recipes"


def section(path: Path) -> list[str]:
    """What specializing from 30% of the training on gains over training all weights to the end, and the table."""
    content = json.loads(path.read_text(encoding="utf-8"))
    results = SweepResults.model_validate(content)
    machine, name, scores = content["machine"], content["evidence"], results.arms["specialized"]
    changed = yaml.safe_load((RECIPES / "sweeps" / f"{name}.yaml").read_text(encoding="utf-8"))["set"]
    early, rest = changed["training.updates"], changed["continuation.updates"]
    return [
        "## Specialized from 30% of the training on",
        "",
        f"`recipes/sweeps/{name}.yaml`, commit {content['commit']}, on {machine['cpu']}, {machine['cores']} cores, "
        f"torch {machine['torch']}: {len(results.directions)} directions between English and six languages of six "
        f"branches. The baseline is stopped after {early:,} of {early + rest:,} updates; each arm "
        f"gets the other {rest:,}. One seed.",
        "",
        *(line for control in ("dense", "random") for line in _over(results, control)),
        f"- All of it at {fmean(scores[one].get('chrf++') for one in scores):.0f} chrF++, where nothing is translated "
        "yet: it says that masks help such a model to learn sooner, not that a good one becomes better. Other "
        "seeds weren't tried.",
        "",
        *titled(entries_table(results)),
    ]


def _over(results: SweepResults, control: str) -> list[str]:
    found = results.differences["specialized"][control]["chrf++"]["all"]
    bounds, mine, theirs = found.these_trainings, results.arms["specialized"], results.arms[control]
    better = sum(mine[one].get("chrf++") > theirs[one].get("chrf++") for one in mine)
    fall = fmean(theirs[one].get("loss") - mine[one].get("loss") for one in mine)
    between = f" (95% for other sentences {bounds.low:+.2f} to {bounds.high:+.2f})" if bounds else ""
    return [
        f"- **specialized is {found.difference:+.2f} chrF++ over {control}**{between}, in {better} of {len(mine)} "
        f"directions; its loss is {fall:.3f} nats lower."
    ]
