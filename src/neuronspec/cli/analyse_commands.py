"""What `report` and `analyse` do: their folder may be a run, or the analysis of a model without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from neuronspec.core.errors import RecipeError

if TYPE_CHECKING:
    from neuronspec.analysis.settings import Options


def is_run(folder: Path) -> bool:
    """Whether a folder is a run."""
    return (folder / "recipe.yaml").is_file()


def report(folder: Path, overrides: list[str] | None, figures: Path | None, console: Console) -> None:
    """Write FOLDER/report/index.html, and figures for papers if `figures` names a folder.

    Raises:
        RunError: the folder is neither a run nor an analysis, or a stage that the report needs isn't up to date.
    """
    from neuronspec.recipe import Recipe
    from neuronspec.report.data import analysed_data
    from neuronspec.report.page.html import write_report
    from neuronspec.report.paper.canvas import write_figures
    from neuronspec.runs.pipeline import Pipeline
    from neuronspec.runs.stages_report import report_data

    if is_run(folder):
        pipeline = Pipeline(Recipe.of_run(folder, overrides), folder, console)
        pipeline.execute("report")
        data = report_data(pipeline.run) if figures else None
    else:
        if overrides:
            raise RecipeError(f"--set is for runs, and {folder} has no recipe.yaml")
        data = analysed_data(folder)
        write_report(data, folder / "report" / "index.html")
        console.print(f"report: {folder / 'report' / 'index.html'}", soft_wrap=True)
    if figures and data:
        files = write_figures(data, figures)
        console.print(f"{len(files)} files in {figures}", soft_wrap=True)


def analyse(
    target: str, data: Path | None, out: Path | None, options: Options, overrides: list[str] | None, console: Console
) -> None:
    """The stage `analyse` and the report of a run; or the analysis and the report of a model.

    Raises:
        RecipeError: options that are for the other kind of target.
    """
    from neuronspec.analysis.settings import Options

    if is_run(Path(target)):
        if data or out:
            raise RecipeError(f"{target} is a run, which has its text and its folder: leave --data and --out out")
        if options != Options(families={}):
            raise RecipeError(
                f"{target} is a run, which has its recipe: change it with --set, as selection.coverage=0.9"
            )
        _analyse_run(Path(target), overrides, console)
        return
    if data is None or out is None:
        raise RecipeError(f"{target} is no run, so it needs --data (a table of text) and --out (a folder to write to)")
    if overrides:
        raise RecipeError(f"--set is for runs, and {target} is none")
    from neuronspec.analysis.own_model import analyse_model
    from neuronspec.core.progress import Bars

    analyse_model(target, data, out, options, Bars(console))
    report(out, None, None, console)


def _analyse_run(folder: Path, overrides: list[str] | None, console: Console) -> None:
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    pipeline = Pipeline(Recipe.of_run(folder, overrides), folder, console)
    pipeline.execute("analyse")
    pipeline.execute("report")
