"""From the translations of all arms to what `results.json` holds: scores, significance, what was left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.files import write_json
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.contamination import Overlap, store_overlap
from neuronspec.evaluation.results import ArmScores
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.scoring.significance import arms_significance
from neuronspec.translation.settings import EvaluationSettings


def gather(
    folder: Path, arms: Sequence[str], directions: Sequence[Direction], settings: EvaluationSettings, console: Console
) -> tuple[dict[str, ArmScores], dict[str, Any]]:
    """The scores by arm, and what else `results.json` says about them.

    Args:
        folder: `RUN/evaluation`.
        arms: in the order of the tables.
        directions: all that were to be evaluated, the zero-shot ones among them.
        settings: say what is scored, and which directions are zero-shot.
        console: shows progress, and what was skipped and why.
    """
    scorer = Scorer(settings.scores, languages_of(directions))
    for name, reason in scorer.skipped.items():
        console.print(f"[dim]{name} skipped: {reason}[/]", markup=True)
    with console.status("scoring"):
        found = score_arms(folder, arms, scorer)
    names, zero_shot = [str(d) for d in directions], [str(d) for d in settings.zero_shot_directions]
    statistics = {arm: rows for arm, (_, rows) in found.items()}
    with console.status("testing significance"):
        significance = arms_significance(statistics, names, zero_shot, settings.scores)
    facts = {
        "directions": names,
        "zero_shot": zero_shot,
        "skipped": scorer.skipped,
        "overlap": read_overlap(folder),
        "significance": significance,
    }
    return {arm: scores for arm, (scores, _) in found.items()}, facts


def check_overlap(
    store: TokenStore, directions: Sequence[Direction], limit: int | None, folder: Path, console: Console
) -> None:
    """Count the test sentences that stand in the training text, warn, and write `RUN/evaluation/copy/overlap.json`."""
    found = store_overlap(store, directions, limit)
    for name, counts in found.items():
        console.print(f"[yellow]warning: {name}: {Overlap(**counts)}; their scores tell little[/]")
    write_json(folder / "overlap.json", found)


def read_overlap(folder: Path) -> Mapping[str, Any]:
    """What `check_overlap` counted, from `RUN/evaluation`."""
    path = folder / "copy" / "overlap.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
