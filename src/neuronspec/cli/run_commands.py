"""The commands that run the stages of a recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuronspec.cli.options import (
    AllowPluginsOption,
    JsonOption,
    NoVerifyOption,
    OutOption,
    RecipeArgument,
    RunArgument,
    SetOption,
)
from neuronspec.cli.output import console, progress
from neuronspec.core.run_folder import default_run

if TYPE_CHECKING:
    from neuronspec.recipe import Recipe
    from neuronspec.runs.stages import Run

commands = typer.Typer()

SAMPLES = 3
"""Sample translations that are printed at the end of a run; the report has more."""
BETTER_THAN = 0.95
"""The share of the test set that the baseline translates no better than a printed sample."""


@commands.command(epilog="Example: neuronspec run demo.yaml --set training.updates=200")
def run(
    recipe: RecipeArgument,
    out: OutOption = None,
    overrides: SetOption = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only this stage: prepare, train, record, select, specialize, evaluate, analyse or report.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and why, and exit.")] = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Run a recipe: all stages that are not up to date. A stopped run continues where it was."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    loaded = Recipe.load(recipe, overrides)
    pipeline = Pipeline(loaded, out or default_run(loaded.name), progress())
    if dry_run:
        for task, reason in pipeline.plan(stage):
            typer.echo(f"{task.name}: {reason or 'up to date'}")
        return
    pipeline.execute(stage)
    if stage is None:
        summarize(pipeline.run)


@commands.command(epilog="Example: neuronspec validate demo.yaml --set model.d_model=256")
def validate(recipe: RecipeArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Check a recipe and list every mistake in it at once; warn of what this machine lacks for it."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.requirements import warn_of_machine

    checked = Recipe.load(recipe, overrides)
    with checked.located():
        warn_of_machine(checked)
        example = _framed_example(checked)
    if as_json:
        typer.echo(checked.model_dump_json(indent=1))
    else:
        count = len(checked.corpus.all_directions)
        typer.echo(
            f"{recipe}: valid; {count} directions of {len(checked.corpus.all_languages)} languages, "
            f"arms: {', '.join(checked.arm_names)}"
        )
        for line in example:
            typer.echo(line)


def _framed_example(recipe: Recipe) -> list[str]:
    """How a pretrained model reads a pair; its tokenizer is loaded, and so is checked against the languages."""
    if recipe.model.pretrained is None:
        return []
    from neuronspec.models.pretrained import pretrained_tokenizer
    from neuronspec.models.text_format import TextFormat

    directions, new = recipe.evaluated_directions, recipe.model.new_languages  # whose tags aren't made yet
    text_format = TextFormat.of(pretrained_tokenizer(recipe.model, directions))
    known = [one for one in directions if one.source not in new and one.target not in new]
    return [f"example: {text_format.shown(known[0])}"] if known else []


@commands.command(epilog="Example: neuronspec prepare demo.yaml")
def prepare(
    recipe: RecipeArgument,
    out: OutOption = None,
    overrides: SetOption = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="N/JOBS",
            help="Only read and clean this part of the text, such as 3/8; when all jobs have, the command without it "
            "does the rest.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Read and clean the text, train the tokenizer, write the token store."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.corpus_part import read_part
    from neuronspec.runs.pipeline import Pipeline

    wanted = None if part is None else _part(part)
    loaded = Recipe.load(recipe, overrides)
    folder = out or default_run(loaded.name)
    if wanted is not None:
        read_part(loaded, folder, *wanted, progress())
    else:
        Pipeline(loaded, folder, progress()).execute("prepare")


def _part(text: str) -> tuple[int, int]:
    """The number of a part, and of how many."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(f"{text!r}: say which of how many, such as 3/8", param_hint="--part")
    return int(found[1]), int(found[2])


@commands.command(epilog="Example: neuronspec train runs/demo")
def train(
    run_folder: RunArgument,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Train the multilingual baseline of a prepared run."""
    execute(run_folder, overrides, "train")


@commands.command(epilog="Example: neuronspec record runs/demo")
def record(
    run_folder: RunArgument,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Record which neurons each direction uses."""
    execute(run_folder, overrides, "record")


@commands.command(epilog="Example: neuronspec select runs/demo --set selection.coverage=0.9")
def select(
    run_folder: RunArgument,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Select the specialized neurons of each direction."""
    execute(run_folder, overrides, "select")


@commands.command(epilog="Example: neuronspec specialize runs/demo")
def specialize(
    run_folder: RunArgument,
    overrides: SetOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Continue the baseline as every arm: specialized, dense, random."""
    execute(run_folder, overrides, "specialize")


def execute(run: Path, overrides: list[str] | None, stage: str) -> None:
    """Run a stage of a run folder, by its own recipe."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    Pipeline(Recipe.of_run(run, overrides), run, progress()).execute(stage)


def summarize(run: Run) -> None:
    """Print a few sample translations, the tables of arms, what they mean, and where the report is."""
    from neuronspec.evaluation.adaptation import adaptation_table
    from neuronspec.evaluation.legend import legend
    from neuronspec.evaluation.results import Results
    from neuronspec.evaluation.samples import good_samples, samples_text
    from neuronspec.evaluation.tables import arms_table, tiers_table

    out = console()
    results = Results.load(run.paths.results)
    directions = [str(direction) for direction in run.recipe.corpus.all_directions]
    some = directions[:: max(1, len(directions) // SAMPLES)][:SAMPLES]
    samples = good_samples(run.paths.evaluations, ["base", *run.recipe.arm_names], some, BETTER_THAN)
    out.print(f"Samples that base translates better than {BETTER_THAN:.0%} of the test set, by chrF++", style="bold")
    out.print(samples_text(samples), markup=False)
    out.print(tiers_table(results).to_rich())
    adapted = adaptation_table(results)
    if adapted is not None:
        out.print(adapted.to_rich())
    out.print(arms_table(results).to_rich())
    for line in legend(results):
        out.print(line, markup=False, highlight=False)
    out.print(f"report: {run.paths.page}", soft_wrap=True)
