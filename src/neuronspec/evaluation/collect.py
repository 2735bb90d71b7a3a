"""From the translations of all arms to what `results.json` holds: scores, significance, what was left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.progress import SILENT, Progress
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.adaptation import groups_of
from neuronspec.evaluation.alignment import sentence_ids
from neuronspec.evaluation.contamination import Overlap, store_overlap
from neuronspec.evaluation.results import ArmScores
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.scoring.pairwise import arms_significance
from neuronspec.translation.settings import EvaluationSettings

logger = logging.getLogger(__name__)


def gather(
    folder: Path,
    arms: Sequence[str],
    directions: Sequence[Direction],
    settings: EvaluationSettings,
    store: TokenStore,
    progress: Progress = SILENT,
    adapted: Sequence[Direction] = (),
) -> tuple[dict[str, ArmScores], dict[str, Any]]:
    """The scores by arm, and what else `results.json` says about them.

    Args:
        folder: `RUN/evaluation`.
        arms: in the order of the tables.
        directions: all that were to be evaluated, the zero-shot ones among them.
        settings: say what is scored, and which directions are zero-shot.
        store: of the run.
        progress: shows how far scoring and testing are.
        adapted: the directions that arms train on, if not on all.
    """
    scorer = Scorer.of_run(settings.scores, directions, store)
    for name, reason in scorer.skipped.items():
        logger.info("%s skipped: %s", name, reason)
    found = score_arms(folder, arms, scorer, progress)
    names, zero_shot = [str(d) for d in directions], [str(d) for d in settings.zero_shot_directions]
    statistics = {arm: rows for arm, (_, rows) in found.items()}
    ids = sentence_ids([folder / arm for arm in arms], names)
    groups = groups_of(names, zero_shot, [str(one) for one in adapted])
    significance = arms_significance(statistics, names, groups, settings.scores, ids, progress)
    facts = {
        "directions": names,
        "zero_shot": zero_shot,
        **({"adapted": [str(one) for one in adapted]} if adapted else {}),
        "skipped": scorer.skipped,
        "references": store.references,
        "overlap": read_overlap(folder),
        "significance": significance,
    }
    return {arm: scores for arm, (scores, _) in found.items()}, facts


def check_overlap(store: TokenStore, directions: Sequence[Direction], limit: int | None, folder: Path) -> None:
    """Count the test sentences that are in the training text, warn, and write `overlap.json`.

    Args:
        store: holds both.
        directions: with training pairs.
        limit: test sentences that are evaluated.
        folder: `RUN/evaluation/copy`.
    """
    found = store_overlap(store, directions, limit)
    for name, counts in found.items():
        logger.warning("%s: %s; scores on them say little", name, Overlap(**counts))
    write_json(folder / "overlap.json", found)


def read_overlap(folder: Path) -> Mapping[str, Any]:
    """What `check_overlap` counted, from `RUN/evaluation`.

    Raises:
        EvaluationError: the file is damaged.
    """
    path = folder / "copy" / "overlap.json"
    if not path.exists():
        return {}
    remedy = f"remove {path.parent} and evaluate again"
    found = read_json(path, dict[str, Overlap], remedy, error=EvaluationError)
    return {name: asdict(overlap) for name, overlap in found.items()}
