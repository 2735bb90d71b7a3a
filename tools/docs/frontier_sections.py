"""Adaptations, from the files of `benchmarks/adaptation.py`: parts of docs/results.md and docs/tables/adaptation.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuronspec.report.paper.frontier import frontier_figure
from neuronspec.report.paper.write import save
from neuronspec.sweep.frontier import frontiers
from neuronspec.sweep.sweep_results import SweepResults
from neuronspec.sweep.sweep_tables import entries_table, frontier_table


def sections(results: Path) -> list[str]:
    """The lines of docs/results.md: of each file the picture, and the gains at equal forgetting.

    Args:
        results: the folder of result files.
    """
    return [line for path in files(results) for line in _section(path)]


def tables(results: Path) -> list[str]:
    """The lines of all entries' tables.

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
    found = frontiers(_read(path)[1])
    figure = frontier_figure({each.method: (each.places(each.points), each.places(each.best)) for each in found})
    return save(figure, images / f"{path.stem}.svg")


def _read(path: Path) -> tuple[dict[str, Any], SweepResults]:
    content = json.loads(path.read_text(encoding="utf-8"))
    return content, SweepResults.model_validate(content)


def _section(path: Path) -> list[str]:
    content, results = _read(path)
    machine, name = content["machine"], content["evidence"]
    frontier = frontier_table(results)
    assert frontier is not None, "the sweep is over an adaptation"
    seeds = max(len(entry.seeds) for entry in results.entries.values())
    return [
        f"## Gain against forgetting: {name}",
        "",
        f"`recipes/sweeps/{name}.yaml`, commit {content['commit']}, on {machine['cpu']}, {machine['cores']} cores, "
        f"torch {machine['torch']}: {len(results.adapted)} directions are adapted ({', '.join(results.adapted)}), "
        f"{len(results.directions) - len(results.adapted) - len(results.zero_shot)} others aren't trained on; "
        f"{seeds} seed{'s' if seeds > 1 else ''}. [How to read it](adaptation.md#compare-frontiers-not-points).",
        "",
        f"![Gain against forgetting of each method](images/{path.stem}.svg)",
        "",
        *_markdown(frontier),
        f"[All trainings](tables/adaptation.md#{name}).",
        "",
    ]


def _entries(path: Path) -> list[str]:
    content, results = _read(path)
    tables = entries_table(results, "adapted"), entries_table(results, "others")
    return [f"## {content['evidence']}", "", *(line for table in tables for line in _markdown(table))]


def _markdown(table: Any) -> list[str]:
    rows = [f"| {' | '.join(row)} |" for row in table.rows]
    heads = [f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|"]
    return [f"{table.title}:", "", *heads, *rows, "", *([table.note, ""] if table.note else [])]
