"""The command line: one thin command a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neuronspec.cli import deploy_group as cli_deploy
from neuronspec.core.errors import NeuronspecError

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

TablesOption = Annotated[
    Path | None, typer.Option(help="Also write the tables there, as CSV, Markdown and LaTeX.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _execute(run: Path, overrides: list[str] | None, stage: str, quiet: bool = False) -> None:
    from rich.console import Console

    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    Pipeline(Recipe.of_run(run, overrides), run, Console(stderr=True) if quiet else _console()).execute(stage)


@app.command(epilog="Example: neuronspec run recipes/demo.yaml --out runs/demo --set training.updates=200")
def run(
    recipe: RecipeArgument,
    out: OutOption,
    overrides: SetOption = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Only this stage: prepare, train, record, select, specialize, evaluate, analyse or report.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run and why, and stop.")] = False,
) -> None:
    """Run a recipe: all stages that are not up to date. Stopped runs go on where they were."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    pipeline = Pipeline(Recipe.load(recipe, overrides), out, _console())
    if dry_run:
        for task, reason in pipeline.plan(stage):
            typer.echo(f"{task.name}: {reason or 'up to date'}")
        return
    pipeline.execute(stage)
    if stage is None:
        from neuronspec.runs.stages_report import summarize

        summarize(pipeline.run)


@app.command(epilog="Example: neuronspec sweep recipes/sweeps/bible-cpu.yaml --out sweeps/bible --processes 2")
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="Sweep file (YAML).", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Sweep folder to make or to go on with.", show_default=False)
    ],
    overrides: SetOption = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings at a time; one a GPU, or one, without it.", show_default=False),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="A run of the recipe: its corpus and baseline are used as they are.", show_default=False),
    ] = None,
    tables: TablesOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what is done and what isn't, and stop.")] = False,
) -> None:
    """Train arms x seeds x settings over one corpus and baseline, and compare them. Stopped sweeps go on."""
    from neuronspec.cli.sweep_commands import plan_sweep, run_sweep

    if dry_run:
        plan_sweep(file, out, overrides, base, _console())
    else:
        run_sweep(file, out, overrides, base=base, processes=processes, tables=tables, console=_console())


@app.command(epilog="Example: neuronspec validate recipes/demo.yaml --set model.d_model=256")
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
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

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


@app.command(epilog="Example: neuronspec evaluate --hyp system.de --ref test.de --lang de --baseline other.de")
def evaluate(
    run_folder: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="Run folder.", show_default=False)] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    tables: TablesOption = None,
    hyp: Annotated[Path | None, typer.Option(help="Any system's translations, instead of RUN.")] = None,
    ref: Annotated[Path | None, typer.Option(help="Their references.")] = None,
    src: Annotated[Path | None, typer.Option(help="Their sources (COMET needs them).")] = None,
    lang: Annotated[str | None, typer.Option(help="Their language.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another system's translations, to test against.")] = None,
    train: Annotated[list[Path] | None, typer.Option(help="Training text, to count test sentences in it.")] = None,
    languages: Annotated[str | None, typer.Option(help="Languages to tell apart (off-target rate): de,en,fr.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="BLEU's tokenizer, instead of the language's.")] = None,
    flores200: Annotated[Path | None, typer.Option(help="SentencePiece model of FLORES-200, for spBLEU.")] = None,
    detokenise: Annotated[bool, typer.Option("--detokenise", help="Moses round trip first, as in the paper.")] = False,
    comet: Annotated[Path | None, typer.Option(help="COMET checkpoint on this machine.")] = None,
    comet_python: Annotated[Path | None, typer.Option(help="Python that has unbabel-comet.")] = None,
) -> None:
    """Translate and score the test sets with every arm of a run; or, with --hyp, --ref and --lang, score any system's
    output."""
    from neuronspec.cli import evaluate_commands as commands

    external = {"hyp": hyp, "ref": ref, "src": src, "lang": lang, "baseline": baseline, "train": train,
                "languages": languages, "tokenizer": tokenizer, "flores200": flores200, "detokenise": detokenise,
                "comet": comet, "comet_python": comet_python}  # fmt: skip
    if commands.is_external(run_folder, external):
        commands.score_files(external, overrides, tables, as_json, _console())
        return
    assert run_folder is not None, "is_external refuses neither"
    _execute(run_folder, overrides, "evaluate", as_json)
    commands.show_run(run_folder, tables, as_json, _console())


@app.command(epilog="Example: neuronspec compare runs/seed1 runs/seed2 runs/seed3")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B ...", help="Run folders.", show_default=False)],
    as_json: JsonOption = False,
    tables: TablesOption = None,
) -> None:
    """Compare evaluated runs: one experiment with several seeds, or two experiments."""
    from neuronspec.cli import evaluate_commands as commands

    commands.show_comparison(runs, tables, as_json, _console())


@app.command(epilog="Example: neuronspec report runs/demo --figures figures")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, or one that analyse made.", show_default=False)
    ],
    figures: Annotated[
        Path | None,
        typer.Option(help="Also write vector figures with captions into this folder.", show_default=False),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Write RUN/report/index.html, and figures for papers."""
    from neuronspec.cli.analyse_commands import report

    report(folder, overrides, figures, _console())


@app.command(epilog="Example: neuronspec analyse facebook/nllb-200-distilled-600M --data text.tsv --out analysis")
def analyse(
    target: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Hugging Face model or its folder; or a run folder.", show_default=False),
    ],
    data: Annotated[
        Path | None, typer.Option(help="Table with a column a language (.tsv, .gz, .xz).", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to.", show_default=False)] = None,
    pivot: Annotated[str, typer.Option(help="The language in the middle.")] = "en",
    languages: Annotated[
        str | None, typer.Option(help="The others, as de,fr; without it, all columns.", show_default=False)
    ] = None,
    directions: Annotated[str, typer.Option(help="both, out, into, or names, as en-de,de-en.")] = "both",
    sentences: Annotated[int, typer.Option(min=1, help="Sentences recorded a direction, at most.")] = 200,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="k: share of the activation that is covered.")] = 0.95,
    statistic: Annotated[
        str, typer.Option(help="count, magnitude, or auto: count where a value > 0 means that a neuron fired.")
    ] = "auto",
    prompt: Annotated[
        str | None,
        typer.Option(
            help="How the model gets a sentence: text with {text}, {source}, {target}, {source_code}, {target_code}.",
            show_default=False,
        ),
    ] = None,
    ablation: Annotated[int, typer.Option(min=0, help="Sentences a direction for the causal check; 0: none.")] = 20,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Family of a language, as kn=Indo-Aryan. Repeatable.", show_default=False),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Tell what the neurons of a model, or of a run, do: overlap, structure, causes; and write the report."""
    from neuronspec.analysis.settings import Options
    from neuronspec.cli.analyse_commands import analyse

    options = Options.parse(pivot, languages, directions, sentences, coverage, statistic, prompt, ablation, family)
    analyse(target, data, out, options, overrides, _console())


@app.command(epilog="Example: neuronspec inspect runs/demo/masks.safetensors")
def inspect(
    file: Annotated[Path, typer.Argument(help="A file or folder that neuronspec wrote.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Tell what a file or folder of ours holds."""
    from neuronspec.cli.inspect import describe, show

    facts = describe(file)
    if as_json:
        import json

        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        show(facts, _console())


cli_deploy.register(app)


def main() -> None:
    """Run the command line. Exits 0 done, 1 failed, 2 misused, 130 interrupted."""
    from neuronspec.core.processes import leave

    leave(_run())


def _run() -> int:
    """Run the command; the exit code."""
    from neuronspec.cli.output import show_log
    from neuronspec.core.processes import launched

    show_log()

    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except NeuronspecError as error:
        if error.exit_code != INTERRUPTED:
            typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        return error.exit_code
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        return INTERRUPTED
    except RuntimeError as error:
        if not (launched() and "onnection" in str(error)):
            raise
        typer.echo("error: another process of this run has ended, so this one ends too: see its message", err=True)
        return 1
    except (FileExistsError, NotADirectoryError) as error:
        typer.echo(f"error: {error.filename} is a file, and a folder is needed there; name another place", err=True)
        return 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"error: {error.strerror or error}{where}; what was finished before is kept", err=True)
        return 1
    return 0


if __name__ == "__main__":
    main()
