"""`ns.run`, `ns.train` and `ns.evaluate`: what the commands of these names do, for notebooks and programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder, default_run
from neuronspec.evaluation.results import Results
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline


def run(
    recipe: str | Path | Recipe,
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Results:
    """Run a recipe: all stages that aren't up to date. A stopped run continues where it was.

    Args:
        recipe: a recipe file, or a recipe.
        out: run folder to create or to continue; by default, `runs/NAME`.
        overrides: keys that are changed, as `training.updates=200`; only of a file.
        progress: shows how far it is, such as `ns.Bars()`.

    Returns:
        The scores of all arms, as in `RUN/results.json`.

    Raises:
        RecipeError: the recipe is mistaken.
        NeuronspecError: from the stage that failed; what was finished stays.

    Examples:
        >>> results = ns.run("recipes/demo.yaml", "runs/demo")  # doctest: +SKIP
        >>> results.arms["specialized"]["en-de"].chrf  # doctest: +SKIP
        41.2
    """
    loaded = _loaded(recipe, overrides)
    return _done(loaded, Path(out or default_run(loaded.name)), progress, ())


def train(
    recipe: str | Path | Recipe,
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Path:
    """Prepare the text of a recipe and train its baseline.

    Args:
        recipe: as for `run`.
        out: as for `run`.
        overrides: as for `run`.
        progress: as for `run`.

    Returns:
        The folder of the baseline, a plain Hugging Face checkpoint.

    Raises:
        RecipeError, NeuronspecError: as for `run`.
    """
    loaded = _loaded(recipe, overrides)
    pipeline = Pipeline(loaded, Path(out or default_run(loaded.name)), progress)
    for stage in ("prepare", "train"):
        pipeline.execute(stage)
    return pipeline.run.paths.base


def evaluate(folder: str | Path, *, progress: Progress = SILENT) -> Results:
    """Translate and score the test sets with every arm of a run that isn't evaluated yet.

    Args:
        folder: of a run whose arms are trained.
        progress: as for `run`.

    Returns:
        The scores of all arms.

    Raises:
        RecipeError: it is no run folder.
        RunError: an arm isn't trained.
        NeuronspecError: from the stage that failed.
    """
    return _done(Recipe.of_run(folder), Path(folder), progress, ("evaluate",))


def _loaded(recipe: str | Path | Recipe, overrides: Sequence[str]) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, list(overrides))


def _done(recipe: Recipe, folder: Path, progress: Progress, stages: Sequence[str]) -> Results:
    pipeline = Pipeline(recipe, folder, progress)
    for stage in stages or (None,):
        pipeline.execute(stage)
    return Results.load(RunFolder(folder).results)
