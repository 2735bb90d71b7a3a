"""The commands `report` and `analyse`: their folder may be a run, or the analysis of a model without a run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuronspec.cli.options import MANY, AllowPluginsOption, NoVerifyOption, SetOption
from neuronspec.cli.output import console, progress
from neuronspec.core.errors import RecipeError
from neuronspec.core.run_folder import RunFolder

if TYPE_CHECKING:
    from neuronspec.analysis.settings import Options

commands = typer.Typer()
logger = logging.getLogger(__name__)


@commands.command(epilog="Example: neuronspec report runs/demo --figures figures")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, or a folder that analyse wrote.", show_default=False)
    ],
    figures: Annotated[
        Path | None,
        typer.Option(help="Also write vector figures with captions into this folder.", show_default=False),
    ] = None,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Write RUN/report/index.html, and figures for papers."""
    write_reports(folder, overrides, figures)


@commands.command(epilog="Example: neuronspec analyse facebook/nllb-200-distilled-600M --data text.tsv --out analysis")
def analyse(
    target: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Hugging Face model (name or folder), or run folder.", show_default=False),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Table with one column per language (.tsv, .gz, .xz).", show_default=False)
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            help="Text of one language, a sentence per line, as de=german.txt, in place of --data: for decoder-only "
            "models. Repeatable.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to.", show_default=False)] = None,
    dtype: Annotated[
        str, typer.Option(help="Of the weights: auto (as they were saved), float32, bfloat16 or float16.")
    ] = "auto",
    device_map: Annotated[
        str | None,
        typer.Option(
            help="auto spreads the model over all GPUs, main memory and the disk; by default it is on one device.",
            show_default=False,
        ),
    ] = None,
    pivot: Annotated[str, typer.Option(help="The pivot language.")] = "en",
    languages: Annotated[
        str | None, typer.Option(help="The other languages, as de,fr; by default, all columns.", show_default=False)
    ] = None,
    directions: Annotated[
        str, typer.Option(help="both, out (of the pivot), into (it), or names, as en-de,de-en.")
    ] = "both",
    sentences: Annotated[int, typer.Option(min=1, max=MANY, help="Sentences to record per direction, at most.")] = 200,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="k: share of the activation to cover.")] = 0.95,
    statistic: Annotated[
        str, typer.Option(help="count, magnitude, or auto: count where a value > 0 means that a neuron fired.")
    ] = "auto",
    prompt: Annotated[
        str | None,
        typer.Option(
            help="How the model sees a sentence: text with {text}, {source}, {target}, {source_code}, {target_code}.",
            show_default=False,
        ),
    ] = None,
    ablation: Annotated[
        int, typer.Option(min=0, max=MANY, help="Sentences per direction for the causal check; 0: none.")
    ] = 50,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Family of a language, as kn=Indo-Aryan. Repeatable.", show_default=False),
    ] = None,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Analyse the neurons of a model or a run (overlap, structure, causal effect) and write the report."""
    from neuronspec.analysis.settings import Options

    options = Options.parse(
        pivot, languages, directions, sentences, coverage, statistic, prompt, ablation, family, texts, dtype, device_map
    )
    run_analysis(target, data, out, options, overrides)


def write_reports(folder: Path, overrides: list[str] | None, figures: Path | None) -> None:
    """Write FOLDER/report/index.html, and figures for papers if `figures` names a folder.

    Raises:
        RunError: the folder is neither a run nor an analysis, or a stage that the report needs isn't up to date.
    """
    from neuronspec.recipe import Recipe
    from neuronspec.report.data import analysed_data
    from neuronspec.report.page.html import write_report
    from neuronspec.report.paper.write import write_figures
    from neuronspec.runs.pipeline import Pipeline
    from neuronspec.runs.stages import report_data

    if RunFolder(folder).exists:
        pipeline = Pipeline(Recipe.of_run(folder, overrides), folder, progress())
        pipeline.execute("report")
        data = report_data(pipeline.run) if figures else None
    else:
        if overrides:
            raise RecipeError(f"--set is for runs, and {folder} has no recipe.yaml")
        data = analysed_data(folder)
        write_report(data, RunFolder(folder).page)
        logger.info(f"report: {folder / 'report' / 'index.html'}")
    if figures and data:
        files = write_figures(data, figures)
        logger.info("%d files in %s", len(files), figures)


def run_analysis(
    target: str, data: Path | None, out: Path | None, options: Options, overrides: list[str] | None
) -> None:
    """The stage `analyse` and the report of a run; or the analysis and the report of a model.

    Raises:
        RecipeError: options that are for the other kind of target.
    """
    from neuronspec.analysis.settings import Options

    if RunFolder(Path(target)).exists:
        if data or out:
            raise RecipeError(f"{target} is a run, which has its text and its folder: leave --data and --out out")
        if options != Options(families={}):
            raise RecipeError(
                f"{target} is a run, which has its recipe: change it with --set, as selection.coverage=0.9"
            )
        _analyse_run(Path(target), overrides)
        return
    if (data is None and not options.texts) or out is None:
        raise RecipeError(
            f"{target} is no run, so it needs --data (a table of text) or --texts (files of single languages), and "
            "--out (a folder to write to)"
        )
    if overrides:
        raise RecipeError(f"--set is for runs, and {target} is none")
    from neuronspec.analysis.own_model import analyse_model
    from neuronspec.core.progress import Bars

    analyse_model(target, data, out, options, Bars(console()))
    write_reports(out, None, None)


def _analyse_run(folder: Path, overrides: list[str] | None) -> None:
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    pipeline = Pipeline(Recipe.of_run(folder, overrides), folder, progress())
    pipeline.execute("analyse")
    pipeline.execute("report")
