"""Adaptations, from the files of `benchmarks/sweep.py`: parts of docs/results.md and docs/tables/adaptation.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from grids import titled

from neuronspec.report.paper.frontier import frontier_figure
from neuronspec.report.paper.write import save
from neuronspec.sweep.frontier import MEASURES, At, frontiers
from neuronspec.sweep.sweep_results import SweepResults
from neuronspec.sweep.sweep_tables import entries_table, frontier_table

DEMO = "adaptation_demo"
"""The result of the demo's sweep, which is made to be tried."""


def sections(results: Path) -> list[str]:
    """The lines of docs/results.md: of each experiment the picture, and what gains more at equal forgetting, in words.

    Args:
        results: the folder of result files.
    """
    return [line for path in files(results) if path.stem != DEMO for line in _section(path)]


def tables(results: Path) -> list[str]:
    """The lines of the tables: the gains at equal forgetting, and all entries; of the demo's sweep all that there is.

    Args:
        results: the folder of result files.
    """
    lines = [line for path in files(results) for line in _entries(path)]
    return lines or ["No sweep over an adaptation has been measured for these pages yet.", ""]


def files(results: Path) -> list[Path]:
    """The result files, by name."""
    return sorted(results.glob("adaptation*.json"))


def draw(path: Path, images: Path) -> Path:
    """Draw the picture of a result file.

    Returns:
        Its file in `images`.
    """
    found = frontiers(read(path)[1])
    figure = frontier_figure({each.method: (each.places(each.points), each.places(each.best)) for each in found})
    return save(figure, images / f"{path.stem}.svg")


def read(path: Path) -> tuple[dict[str, Any], SweepResults]:
    """A result file, as it is and with its types."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content, SweepResults.model_validate(content)


def _section(path: Path) -> list[str]:
    content, results = read(path)
    name = content["evidence"]
    return [
        f"## Gain against forgetting: {name}",
        "",
        *_shown(path, content, results, "images", "adaptation.md#compare-frontiers-not-points"),
        "### Verdict",
        "",
        *_verdict(results),
        f"[The gains where others lose less or more, with intervals, and all trainings](tables/adaptation.md#{name}).",
        "",
    ]


def _shown(path: Path, content: dict[str, Any], results: SweepResults, images: str, explained: str) -> list[str]:
    """What was measured, and its picture."""
    machine, name = content["machine"], content["evidence"]
    seeds = max(len(entry.seeds) for entry in results.entries.values())
    return [
        f"`recipes/sweeps/{name}.yaml`, commit {content['commit']}, on {machine['cpu']}, {machine['cores']} cores, "
        f"torch {machine['torch']}: {len(results.adapted)} directions are adapted ({', '.join(results.adapted)}), "
        f"{len(results.directions) - len(results.adapted) - len(results.zero_shot)} others aren't trained on; "
        f"{seeds} seed{'s' if seeds > 1 else ''}. [How to read it]({explained}).",
        "",
        f"![Gain against forgetting of each method]({images}/{path.stem}.svg)",
        "",
    ]


REMARKS = {
    "adaptation": [
        "**Neuron-targeted updates don't win here.** By the loss, which every training lowers in the adapted "
        "directions, `neurons`, `exclusive` and `ffn` are behind `dense` with a well-chosen learning rate at the same "
        "forgetting, and the neurons that fire are no better than random ones, as far as can be told. `replay` and "
        "`averaged` keep up with `dense`. By chrF++ no method gains beyond chance: the baseline is weak ({base:.0f} "
        "chrF++ in the adapted directions), and its greedy translations get worse while its loss falls. Whether a good "
        "model behaves alike isn't known from this.",
        "",
    ],
    "adaptation-new": [
        "**For languages that the baseline hasn't seen, `lora`, `averaged` and `replay` are ahead by the loss, and "
        "neuron-targeted updates aren't.** LoRA has parameters of each direction's own, so the others stay as they "
        "are; the mean of the baseline and `dense` gains most where the others may lose a little. Every other "
        "training, at the learning rates tried, cost the others more than the budgets below, so there the lines lead "
        "straight from the baseline to it. `ffn`, `neurons`, `exclusive` and `random` train of the embeddings those of "
        "the new tags, which begin as those of nl and ru; with these frozen, too, the "
        "order was the same. By chrF++ only `replay` gains a little: the baseline is weak ({base:.0f} chrF++ "
        "in the adapted directions), and the new languages have little text.",
        "",
    ],
    "adaptation-demo": [
        "**No method is told apart from `dense` here**: the sweep is made to be tried, and with two directions the "
        "intervals are wide. The baseline ({base:.0f} chrF++ in the adapted directions) isn't trained to the end, so "
        "at the small learning rate `dense` gains without hurting the others.",
        "",
    ],
}
"""What the numbers of a sweep come to, in words."""


def _verdict(results: SweepResults) -> list[str]:
    """What gains more than dense, and than random neurons, at equal forgetting; of the budgets, at the middle one."""
    lines = _remark(results)
    for key, (unit, budgets, digits) in MEASURES.items():
        by_name = {each.method: each for each in frontiers(results, key)}
        if not by_name:
            continue
        targeted = sorted(by_name.keys() & {"neurons", "exclusive"}) if "random" in by_name else []
        budget = budgets[len(budgets) // 2]
        at = {name: each.at(budget) for name, each in by_name.items()}
        told = [f"`{name}` {_signed(at[name], at['random'], digits)}" for name in targeted]
        lines.append(
            f"- Where the others lose {budget:g} {unit}, `dense` gains {at['dense'].gain:.{digits}f}. In comparison, "
            f"{_compared(at, digits)}." + (f" Over `random`: {', '.join(told)}." if told else "")
        )
    if any(mark in line for line in lines for mark in ("\\*", ", beyond chance")):
        lines += ["", "Beyond chance (\\*): for other directions of this kind and other seeds."]
    return [*lines, ""]


def _remark(results: SweepResults) -> list[str]:
    base = fmean(results.arms["base"][name].get("chrf++") for name in results.adapted)
    return [line.format(base=base) for line in REMARKS.get(results.sweep, [])]


def _compared(at: Mapping[str, At], digits: int) -> str:
    """The methods that gain more or less than dense, in words."""
    once = "with one seed, so without intervals"
    kinds: dict[str, list[str]] = {"more, beyond chance": [], "less, beyond chance": [], "not told apart": [], once: []}
    for name in sorted(at.keys() - {"dense"}):
        value, interval = at[name].minus(at["dense"])
        sure = interval is not None and interval.excludes_zero
        kind = ("less, beyond chance" if value < 0 else "more, beyond chance") if sure else "not told apart"
        kind = once if len(at[name].by_training) == len(at["dense"].by_training) == 1 else kind
        kinds[kind].append(f"`{name}` ({value:+.{digits}f})")
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)


def _signed(one: At, other: At, digits: int) -> str:
    value, interval = one.minus(other)
    return f"{value:+.{digits}f}" + ("\\*" if interval is not None and interval.excludes_zero else "")


def _entries(path: Path) -> list[str]:
    content, results = read(path)
    gains = [table for key in MEASURES if (table := frontier_table(results, key))]
    assert gains, "the sweep is over an adaptation"
    tables = [*gains, entries_table(results, "adapted"), entries_table(results, "others")]
    lines = [f"## {content['evidence']}", ""]
    if path.stem == DEMO:
        explained = "../adaptation.md#compare-frontiers-not-points"
        lines += [*_shown(path, content, results, "../images", explained), *_remark(results)]
    return [*lines, *(line for table in tables for line in titled(table))]
