"""A job of its own that reads part of a run's text, before `prepare` does the rest."""

from __future__ import annotations

import logging
from pathlib import Path

from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline, locked
from neuronspec.runs.requirements import check_machine

logger = logging.getLogger(__name__)

_TURN = 60.0
"""Seconds that jobs which start together wait for each other's look at the run folder."""


def read_part(recipe: Recipe, folder: Path, number: int, jobs: int, progress: Progress = SILENT) -> None:
    """Read and clean part `number` of `jobs` of the text: RUN/parts. Nothing is read where the run is prepared.

    Args:
        recipe: of the run.
        folder: of the run, which all jobs and `prepare` share.
        number: of the part, from 1.
        jobs: how many parts there are.
        progress: shows how many rows were read.

    Raises:
        RunError: another process reads this part or works in the run folder, or the folder holds something else.
        CorpusError: the text can't be read.
    """
    from neuronspec.corpus.parts import read_part as read_part_of_corpus

    paths = RunFolder(folder)
    with locked(paths, wait=_TURN):
        pipeline = Pipeline(recipe, folder, progress)
        check_machine(recipe, {"prepare"}, paths.tokenizer)
        if pipeline.plan("prepare")[0][1] is None:
            logger.info("%s: its text is prepared already; there is nothing to read", folder)
            return
    done = read_part_of_corpus(
        recipe.corpus,
        paths.parts,
        number,
        jobs,
        seed=recipe.seed,
        zero_shot=recipe.evaluation.zero_shot_directions,
        progress=progress,
    )
    before = f" ({done['stored']} had been read before)" if done["stored"] else ""
    logger.info(
        "part %d of %d: %s rows of %d files or sources%s; when all parts are read, 'neuronspec prepare' gathers them",
        number, jobs, f"{done['rows']:,}", done["pieces"], before,
    )  # fmt: skip
