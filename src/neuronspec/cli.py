"""The command line: one thin command a stage."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neuronspec import cli_deploy
from neuronspec.errors import NeuronspecError

app = typer.Typer(
    name="neuronspec",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multilingual translation models whose neurons specialize: train on many directions, record which "
    "feed-forward neurons each uses, select the specialized ones, train on with sparse layers, compare with controls.",
    epilog="Start with: neuronspec run recipes/demo.yaml --out runs/demo",
)

RecipeArgument = Annotated[Path, typer.Argument(help="Recipe file (YAML).", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", help="Run folder to make or to go on with.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a key of the recipe, as section.key=value. Repeatable.", show_default=False),
]
INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _execute(run: Path, overrides: list[str] | None, stage: str) -> None:
    from neuronspec.pipeline import Pipeline
    from neuronspec.recipe import Recipe

    Pipeline(Recipe.of_run(run, overrides), run, _console()).execute(stage)


@app.command(epilog="Example: neuronspec run recipes/demo.yaml --out runs/demo --set training.updates=200")
def run(
    recipe: RecipeArgument,
    out: OutOption,
    overrides: SetOption = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only this stage: prepare, train, record, select, specialize, evaluate or report.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and why, and stop.")] = False,
) -> None:
    """Run a recipe: all stages that are not up to date. Stopped runs go on where they were."""
    from neuronspec.pipeline import Pipeline
    from neuronspec.recipe import Recipe

    pipeline = Pipeline(Recipe.load(recipe, overrides), out, _console())
    if dry_run:
        for task, reason in pipeline.plan(stage):
            typer.echo(f"{task.name}: {reason or 'up to date'}")
        return
    pipeline.execute(stage)
    if stage is None:
        from neuronspec.stages import summarize

        summarize(pipeline.run)


@app.command(epilog="Example: neuronspec validate recipes/demo.yaml --set model.d_model=250")
def validate(recipe: RecipeArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Check a recipe and list every mistake in it at once."""
    from neuronspec.recipe import Recipe

    checked = Recipe.load(recipe, overrides)
    if as_json:
        typer.echo(checked.model_dump_json(indent=1))
    else:
        count = len(checked.corpus.all_directions)
        typer.echo(
            f"{recipe}: valid; {count} directions of {len(checked.corpus.all_languages)} languages, "
            f"arms: {', '.join(checked.arms)}"
        )


@app.command(epilog="Example: neuronspec prepare recipes/demo.yaml --out runs/demo")
def prepare(recipe: RecipeArgument, out: OutOption, overrides: SetOption = None) -> None:
    """Read and clean the text, train the tokenizer, write the token store."""
    from neuronspec.pipeline import Pipeline
    from neuronspec.recipe import Recipe

    Pipeline(Recipe.load(recipe, overrides), out, _console()).execute("prepare")


@app.command(epilog="Example: neuronspec train runs/demo")
def train(run_folder: RunArgument, overrides: SetOption = None) -> None:
    """Train the multilingual baseline of a prepared run."""
    _execute(run_folder, overrides, "train")


@app.command(epilog="Example: neuronspec record runs/demo")
def record(run_folder: RunArgument, overrides: SetOption = None) -> None:
    """Record which neurons each direction uses."""
    _execute(run_folder, overrides, "record")


@app.command(epilog="Example: neuronspec select runs/demo --set selection.coverage=0.9")
def select(run_folder: RunArgument, overrides: SetOption = None) -> None:
    """Select the specialized neurons of each direction."""
    _execute(run_folder, overrides, "select")


@app.command(epilog="Example: neuronspec specialize runs/demo")
def specialize(run_folder: RunArgument, overrides: SetOption = None) -> None:
    """Continue the baseline as every arm: specialized, dense, random."""
    _execute(run_folder, overrides, "specialize")


@app.command(epilog="Example: neuronspec evaluate runs/demo --json")
def evaluate(run_folder: RunArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Translate and score the test sets with every arm."""
    if as_json:
        from rich.console import Console

        from neuronspec.pipeline import Pipeline
        from neuronspec.recipe import Recipe

        pipeline = Pipeline(Recipe.of_run(run_folder, overrides), run_folder, Console(stderr=True))
        pipeline.execute("evaluate")
        typer.echo((run_folder / "results.json").read_text(encoding="utf-8"))
    else:
        _execute(run_folder, overrides, "evaluate")


@app.command(epilog="Example: neuronspec report runs/demo")
def report(run_folder: RunArgument, overrides: SetOption = None) -> None:
    """Write RUN/report/index.html."""
    _execute(run_folder, overrides, "report")


@app.command(epilog="Example: neuronspec inspect runs/demo/masks.safetensors")
def inspect(
    file: Annotated[Path, typer.Argument(help="A file or folder that neuronspec wrote.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Tell what a file or folder of ours holds."""
    from neuronspec.inspection import describe, show

    facts = describe(file)
    if as_json:
        import json

        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        show(facts, _console())


cli_deploy.register(app)


def main() -> None:
    """Run the command line. Exits 0 done, 1 failed, 2 misused, 130 interrupted."""
    try:
        app()
    except NeuronspecError as error:
        if error.exit_code != INTERRUPTED:
            typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"error: {error.strerror or error}{where}; what was finished before is kept", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
