"""Specialization against everything else: its part of docs/results.md, and docs/tables/specialization.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neuronspec.core.direction import Direction
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.results import Results as Scores
from neuronspec.evaluation.tables import other_scores_table, tier_groups, tiers_table
from neuronspec.evaluation.transfer import transfer_table
from neuronspec.scoring.intervals import over_both, over_units
from neuronspec.sweep.sweep_results import SweepResults
from neuronspec.sweep.sweep_tables import costs_table, differences_table, entries_table

MAIN = ("copy", "base", "dense", "random", "specialized")
PARTS = {
    "Which FFNs are specialized": ("dense", "encoder", "decoder", "specialized"),
    "How many neurons (k)": ("dense", "random", "k50", "k70", "k85", "k90", "specialized", "k99"),
    "Who shares neurons": ("dense", "specialized", "language", "family", "rerecorded"),
    "How neurons are chosen": ("dense", "random", "magnitude", "top_fraction", "specialized"),
    "Other ways to specialize": (
        "base", "dense", "specialized", "adapters_direction", "adapters_family", "adapters_matched", "lora", "lass",
        "finetune",
    ),
}  # fmt: skip
Results = Mapping[str, Any]


def section(path: Path) -> list[str]:
    """The lines of the verdict, from a result file of `benchmarks/evidence.py`."""
    results = _read(path)
    return [
        "## Does specialization win?",
        "",
        _told(results),
        "",
        *verdict(results),
        *(
            [
                "The intervals were made afterwards, from scores, and may be too narrow "
                "([why](tables/specialization.md)).",
                "",
            ]
            if "old" in results
            else []
        ),
        *investigation(results),
        "[All tables of this sweep](tables/specialization.md).",
        "",
    ]


def tables(path: Path) -> list[str]:
    """The lines of a file's tables."""
    results = _read(path)
    return [f"## {results['evidence']}", "", _told(results), "", *_changes_told(results), *_tables(results)]


def _read(path: Path) -> Results:
    return with_intervals(json.loads(path.read_text(encoding="utf-8")))


def _told(results: Results) -> str:
    """What was run, and where."""
    machine, name = results["machine"], results["evidence"]
    count = len(results["directions"]) - len(results["zero_shot"])
    recipes = "https://github.com/neuronspec/neuronspec/blob/main/recipes/"
    return (
        f"[`recipes/{name}.yaml`]({recipes}{name}.yaml) and "
        f"[`recipes/sweeps/{name}.yaml`]({recipes}sweeps/{name}.yaml), commit {results['commit']}, "
        f"on {machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}: {count} "
        f"directions in three tiers of resource and {len(results['zero_shot'])} zero-shot directions, verse-aligned "
        "text. All arms continue from one baseline, with the same updates and data order."
    )


def with_intervals(results: dict[str, Any]) -> Results:
    """Results of a sweep from before version 0.2, with the intervals of today as far as their numbers go.

    They have the scores by direction (mean over seeds) and by seed (mean over directions), and no statistics of
    sentences. So there is no interval for other sentences, that for other directions counts the variance of directions
    and seeds in full, and what directions share through common sentences is in none.
    """
    if "long" in results:
        results = results | {"long": with_intervals(results["long"])}
    if "base_seeds" in results:
        return results
    groups = {"all": [name for name in results["directions"] if name not in results["zero_shot"]]}
    groups |= tier_groups(sorted(groups["all"], key=Direction.parse), results["tiers"], results["pivot"])
    groups["zero-shot"] = results["zero_shot"]
    differences = {
        entry: {
            baseline: {
                metric: {group: _with_intervals(results, entry, baseline, metric, groups[group], old)
                         for group, old in found.items()}
                for metric, found in metrics.items()
            }
            for baseline, metrics in others.items()
        }
        for entry, others in results["differences"].items()
    }  # fmt: skip
    entries = {name: entry | {"base_seeds": []} for name, entry in results["entries"].items()}
    return results | {"base_seeds": [], "old": True, "entries": entries, "differences": differences}


def _with_intervals(
    results: Results, entry: str, baseline: str, metric: str, names: Sequence[str], old: Mapping[str, Any]
) -> dict[str, Any]:
    by_seed = old["seeds"]["values"]
    new = {key: old[key] for key in ("difference", "n", "of", "seeds")} | {"over": "seeds", "correlation": None}
    new |= {"before": {"low": old["low"], "high": old["high"]}}
    new |= {"these_trainings": None, "other_trainings": None, "other_directions": None}
    if len(by_seed) < 2 or results["entries"][entry]["seeds"] != results["entries"][baseline]["seeds"]:
        return new
    one, other = results["arms"][entry], results["arms"][baseline]
    by_direction = np.array(
        [one[name][metric] - other[name][metric] for name in names if name in one and name in other]
    )
    assert abs(by_direction.mean() - old["difference"]) < 1e-6, "the scores are means over the same seeds"
    trainings = over_units(by_seed)
    directions = over_both(np.add.outer(np.array(by_seed) - np.mean(by_seed), by_direction))
    if directions is not None and trainings is not None:
        directions = directions.around(trainings)
    for name, interval in (("other_trainings", trainings), ("other_directions", directions)):
        new[name] = interval and {"low": interval.low, "high": interval.high}
    return new


def _typed(results: Results) -> SweepResults:
    return SweepResults.model_validate(results)


def _changes_told(results: Results) -> list[str]:
    """What old results' intervals are made from, and whose verdict is another than with the method before."""
    if "old" not in results:
        return []
    once = {name for name, entry in results["entries"].items() if len(entry["seeds"]) < 2}
    lost: dict[str, list[str]] = {}
    alone = 0
    for entry, others in results["differences"].items():
        for baseline, found in others.items():
            groups = [
                group
                for group, one in found["chrf++"].items()
                if _outside(one["before"]) and not _outside(one["other_directions"])
            ]
            if entry in once:
                alone += len(groups)
            elif groups and f"{baseline} − {entry}" not in lost:
                lost[f"{entry} − {baseline}"] = groups
    assert not any("all" in groups for groups in lost.values()), "the text below says so"
    told = "; ".join(f"{pair}: {', '.join(groups)}" for pair, groups in lost.items())
    return [
        "The sweep was run before version 0.2. Of its trainings the scores are kept, and not the statistics of their "
        "sentences. So these intervals are made from the scores: they cover directions and seeds, and sentences as far "
        "as each direction has its own. The directions share verses, and what that adds can't be told any more: the "
        "intervals may be too narrow. All seeds continue one baseline, and say nothing of others.",
        "",
        "**What changed.** These pages used a hierarchical bootstrap over directions and sentences, which left the "
        "seeds out, and marked entries with one seed. No longer beyond chance for other directions and seeds, though "
        f"they were marked before: {told}; and all {alone} marked differences of entries with one seed, of which "
        "nothing is known for other seeds. The verdicts over all trained directions stay.",
        "",
    ]


def verdict(results: Results) -> list[str]:
    """What the numbers say, in words."""
    lines = ["### Verdict", ""]
    for baseline in results["baselines"]:
        for group in ("all", "zero-shot"):
            lines += _judged(results, "specialized", baseline, group)
        tiers = [group for group in _groups(results) if group not in ("all", "zero-shot") and "all" not in group]
        told = [_short(results, "specialized", baseline, group) for group in tiers]
        note = " (\\*: beyond chance for other directions and seeds)" if any("*" in each for each in told) else ""
        lines += [f"- By tier, over {baseline}: {'; '.join(told)}{note}.", ""]
    return lines


def investigation(results: Results) -> list[str]:
    """What was looked at to find out why, in words made from the numbers."""
    lines = ["### Why", ""]
    curve = results["base"]
    lines.append(
        f"- *Is the baseline undertrained?* At its end the loss falls by {_slope(curve):.3f} nats in 1,000 updates; "
        f"`dense` gains {curve[-1]['loss'] - _validation(results, 'dense'):.3f} nats over it in the continuation, with "
        "the optimizer reset and the learning rate tuned."
    )
    ks = [name for name in ("k99", "specialized", "k90", "k85", "k70", "k50") if name in results["entries"]]
    told = [f"{results['entries'][name]['sparsity']:.0%} sparsity {_gap(results, name):+.3f}" for name in ks]
    lines.append(f"- *How many neurons?* Validation loss above `dense`, by sparsity: {', '.join(told)} nats.")
    parts = [name for name in ("encoder", "decoder", "specialized", "random") if name in results["entries"]]
    told = [f"`{name}` {_gap(results, name):+.3f}" for name in parts]
    lines.append(f"- *Which component costs?* The same for k = 0.95: {', '.join(told)} nats.")
    others = [
        name
        for name in ("language", "family", "lass", "magnitude", "top_fraction", "adapters_family", "adapters_direction",
                     "adapters_matched", "lora", "rerecorded", "specialized-lr2e-4", "specialized-lr1e-3")
        if name in results["entries"]
    ]  # fmt: skip
    told = [f"`{name}` {_gap(results, name):+.3f}" for name in others]
    lines += [f"- *Other choices*: {', '.join(told)} nats."] if told else []
    if "bilingual" in results["arms"]:
        arms = results["arms"]
        told = [
            f"{name} {arms['base'][name]['loss'] - score['loss']:+.3f} nats and "
            f"{arms['base'][name]['chrf++'] - score['chrf++']:+.1f} chrF++"
            for name, score in arms["bilingual"].items()
        ]
        lines.append(
            "- *Is there interference at all?* The multilingual baseline against bilingual models on the test (loss "
            f"above 0: interference; chrF++ above 0: transfer): {'; '.join(told)}."
        )
    if "long" in results:
        gaps = _gaps(results["long"], "dense", "specialized")
        first, last = min(gaps), max(gaps)
        lines.append(
            f"- *Is the continuation too short?* With three times the updates the gap of `specialized` to `dense` in "
            f"validation loss goes from {gaps[first]:+.4f} after {first} updates to {gaps[last]:+.4f} after {last}."
        )
    return [*lines, ""]


def _slope(curve: Sequence[Mapping[str, float]]) -> float:
    """How much the loss falls in 1,000 updates, over the last three validations."""
    first, last = curve[-3:][0], curve[-1]
    return (first["loss"] - last["loss"]) / (last["update"] - first["update"]) * 1000


def _validation(results: Results, name: str) -> float:
    return float(results["entries"][name]["validation"]["mean"])


def _gap(results: Results, name: str) -> float:
    """The lowest validation loss above that of `dense` with the same seeds."""
    entry, dense = results["entries"][name], results["entries"]["dense"]
    by_training = zip(dense["seeds"] * max(1, len(results["base_seeds"])), dense["validation"]["values"], strict=True)
    own = [value for seed, value in by_training if seed in entry["seeds"]]
    return float(entry["validation"]["mean"]) - sum(own) / len(own)


def _gaps(results: Results, first: str, last: str) -> dict[int, float]:
    """By update, the validation loss of `last` above that of `first`."""
    curves = [{line["update"]: line["loss"] for line in results["entries"][name]["curve"]} for name in (first, last)]
    return {update: curves[1][update] - loss for update, loss in curves[0].items()}


def _judged(results: Results, entry: str, baseline: str, group: str) -> list[str]:
    found = results["differences"][entry][baseline]["chrf++"].get(group)
    if found is None:
        return []
    seeds = found["seeds"]
    side = "above" if found["difference"] > 0 else "below"
    told = [
        f"{'beyond chance' if _outside(found[name]) else 'not beyond chance'} for {what} (95% interval "
        f"{found[name]['low']:+.2f} to {found[name]['high']:+.2f})"
        for name, what in (
            ("other_trainings", f"other {found['over']} in these directions"),
            ("other_directions", f"other directions of this kind and other {found['over']}"),
        )
        if found[name] is not None
    ]
    sure = "; ".join(told) or "one seed, so nothing is known of others"
    over = f"; sd over {len(seeds['values'])} seeds {seeds['sd']:.2f}, p {seeds['p']:.3f}" if seeds["p"] else ""
    return [
        f"- **{entry} is {abs(found['difference']):.2f} chrF++ {side} {baseline}** in {_named(group)}: {sure}{over}."
    ]


def _outside(bounds: Mapping[str, float] | None) -> bool:
    return bounds is not None and (bounds["low"] > 0 or bounds["high"] < 0)


def _named(group: str) -> str:
    return {"all": "the trained directions", "zero-shot": "the zero-shot directions"}.get(group, group)


def _short(results: Results, entry: str, baseline: str, group: str) -> str:
    found = results["differences"][entry][baseline]["chrf++"][group]
    mark = "\\*" if _outside(found["other_directions"]) else ""
    return f"{group} {found['difference']:+.2f}{mark}"


def _groups(results: Results) -> list[str]:
    return list(next(iter(results["entries"].values()))["means"])


def _tables(results: Results) -> list[str]:
    lines = ["### Arms", ""]
    main = _only(results, MAIN)
    lines += (
        _show(entries_table(_typed(main)))
        + _show(tiers_table(Scores.model_validate(main)))
        + _show(tiers_table(Scores.model_validate(main), "bleu"))
    )
    differences = differences_table(_typed(_only(results, ("specialized",))))
    lines += _show(differences) if differences else []
    lines += ["### Ablations and baselines", "", "One seed where nothing else is said: hints, not proofs.", ""]
    missing = _not_run(results)
    lines += [f"Entries of the sweep that have not been run yet: {', '.join(missing)}.", ""] if missing else []
    for title, names in PARTS.items():
        part = _only(results, [name for name in names if name in results["arms"]])
        table = entries_table(_typed(part))
        lines += _show(Table(title, table.columns, table.rows, table.note))
    lines += ["### Zero-shot", ""]
    lines += _show(entries_table(_typed(results), "zero-shot"))
    lines += _show(_off_target(results))
    lines += _longer(results)
    lines += ["### What each takes", "", *_show(costs_table(_typed(results)))]
    lines += ["Other work ran beside some of these trainings: compare preparing, not the times of updates.", ""]
    lines += ["### Interference and transfer", "", *_interference(results)]
    lines += ["### The baseline", "", *_base(results)]
    return lines


def _not_run(results: Results) -> list[str]:
    """The entries of the sweep file that the results don't have."""
    file = Path(__file__).parents[2] / "recipes" / "sweeps" / f"{results['evidence']}.yaml"
    return [name for name in yaml.safe_load(file.read_text(encoding="utf-8"))["arms"] if name not in results["entries"]]


def _only(results: Results, names: Sequence[str]) -> dict[str, Any]:
    """The results of some entries."""
    kept = {key: {name: results[key][name] for name in names if name in results[key]} for key in ("arms", "entries")}
    differences = {name: results["differences"][name] for name in names if name in results["differences"]}
    return {**results, **kept, "differences": differences}


def _off_target(results: Results) -> Table:
    """The off-target rates of the zero-shot directions."""
    swapped = {**results, "directions": results["zero_shot"], "zero_shot": []}
    swapped["arms"] = {
        name: {d: score for d, score in scores.items() if d in results["zero_shot"]}
        for name, scores in results["arms"].items()
    }
    table = other_scores_table(Scores.model_validate(swapped))
    return Table("Zero-shot directions: other scores", table.columns, table.rows)


def _longer(results: Results) -> list[str]:
    """How the gap between the arms moves with training."""
    lines = ["### More training", "", "Validation loss by update, mean over seeds:", ""]
    lines += _curves(results, [name for name in ("dense", "random", "specialized") if name in results["entries"]])
    if "long" in results:
        long = results["long"]
        lines += ["With three times the updates, one seed:", ""]
        lines += _curves(long, list(long["entries"]))
        lines += _show(entries_table(_typed(long)))
    return lines


def _curves(results: Results, names: Sequence[str]) -> list[str]:
    """A row an update, a column an entry, and the gap of the last to the first."""
    curves = {name: {line["update"]: line["loss"] for line in results["entries"][name]["curve"]} for name in names}
    first, last = curves[names[0]], curves[names[-1]]
    rows = [
        f"| {' | '.join([str(update), *(f'{curves[name][update]:.4f}' for name in names)])} | {gap:+.4f} |"
        for update, gap in ((update, last[update] - first[update]) for update in first)
    ]
    heads = f"| update | {' | '.join(names)} | {names[-1]} − {names[0]} |"
    return [heads, "|---:" * (len(names) + 2) + "|", *rows, ""]


def _interference(results: Results) -> list[str]:
    table = transfer_table(Scores.model_validate(results), "bilingual")
    if table is None:
        return []
    text = (
        "Gain over bilingual models of the same shape, each trained on its direction's own text: below 0 the "
        "multilingual model loses to them (interference), above 0 it gains (transfer)."
    )
    return [text, "", *_show(table)]


def _base(results: Results) -> list[str]:
    curve = results["base"]
    step = max(1, len(curve) // 10)
    shown = [*curve[step - 1 : -1 : step], curve[-1]]
    last = curve[-1]
    lines = [
        f"{last['update']:,} updates in {last['seconds'] / 60:.0f} minutes; at the end the validation loss falls by "
        f"{_slope(curve):.3f} nats in 1,000 updates.",
        "",
        "| update | minutes | validation loss |",
        "|---|---|---|",
        *(f"| {line['update']:,} | {line['seconds'] / 60:.0f} | {line['loss']:.3f} |" for line in shown),
        "",
    ]
    if "tuning" in results:
        lines += [
            "Settings of the continuation, tried with `dense` on validation (the baseline to beat is a tuned one):",
            "",
            "| settings | validation loss |",
            "|---|---|",
            *(
                f"| {_changes(one['changes'])} | {one['validation']:.4f} |"
                for one in sorted(results["tuning"].values(), key=lambda one: one["validation"])
            ),
            "",
        ]
    return lines


def _changes(changes: Mapping[str, Any]) -> str:
    own = {key.partition(".")[2]: value for key, value in changes.items() if key.startswith("continuation.")}
    return ", ".join(f"{key} {value}" for key, value in own.items())


def _show(table: Table) -> list[str]:
    rows = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in table.rows]
    heads = [f"| {' | '.join(table.columns)} |", "|---" + "|---:" * (len(table.columns) - 1) + "|"]
    return [f"{table.title}:", "", *heads, *rows, "", *([table.note.replace("*", "\\*"), ""] if table.note else [])]


def _plain(cell: str) -> str:
    text = cell if isinstance(cell, Cell) else str(cell)
    return str(text).replace("*", "\\*")
