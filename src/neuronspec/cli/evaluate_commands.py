"""The commands `evaluate` and `compare`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuronspec.cli.options import AllowPluginsOption, JsonOption, NoVerifyOption, SetOption, TablesOption
from neuronspec.cli.output import console, keep_stdout_free, print_json
from neuronspec.cli.run_commands import execute
from neuronspec.core.errors import RecipeError
from neuronspec.core.run_folder import RunFolder

if TYPE_CHECKING:
    from neuronspec.core.table import Table
    from neuronspec.evaluation.external import FilesScored

commands = typer.Typer()
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class External:
    """The options of `evaluate` for the output of any system, by name."""

    hyp: Path | None
    ref: Path | None
    src: Path | None
    lang: str | None
    baseline: Path | None
    train: list[Path] | None
    languages: str | None
    tokenizer: str | None
    flores200: Path | None
    detokenise: bool
    comet: Path | None
    comet_python: Path | None

    def is_meant(self, run: Path | None) -> bool:
        """Whether `evaluate` was given files and not a run.

        Raises:
            RecipeError: neither, both, or not all files; says what is missing.
        """
        given = [f"--{each.name.replace('_', '-')}" for each in fields(self) if getattr(self, each.name)]
        if run is not None and given:
            raise RecipeError(
                f"give a run folder, or files with --hyp, --ref and --lang; not {run} and {', '.join(given)}"
            )
        missing = [name for name in ("--hyp", "--ref", "--lang") if name not in given]
        if run is None and missing:
            raise RecipeError(
                f"{', '.join(missing)} missing: give a run folder, or files: "
                "neuronspec evaluate --hyp FILE --ref FILE --lang de"
            )
        return run is None


@commands.command(epilog="Example: neuronspec evaluate --hyp system.de --ref test.de --lang de --baseline other.de")
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
    languages: Annotated[str | None, typer.Option(help="Languages to distinguish (off-target rate): de,en,fr.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="BLEU's tokenizer, instead of the language's.")] = None,
    flores200: Annotated[Path | None, typer.Option(help="SentencePiece model of FLORES-200, for spBLEU.")] = None,
    detokenise: Annotated[
        bool, typer.Option("--detokenise", help="Moses tokenization and back first, as in the paper.")
    ] = False,
    comet: Annotated[Path | None, typer.Option(help="Local COMET checkpoint.")] = None,
    comet_python: Annotated[Path | None, typer.Option(help="Python interpreter that has unbabel-comet.")] = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Translate and score the test sets with every arm of a run, or score any system's output.

    Give --hyp, --ref and --lang for the output of a system.
    """
    if as_json:
        keep_stdout_free()
    external = External(
        hyp, ref, src, lang, baseline, train, languages, tokenizer, flores200, detokenise, comet, comet_python
    )
    if external.is_meant(run_folder):
        score_files(external, overrides, tables, as_json)
        return
    assert run_folder is not None, "is_meant refuses neither"
    execute(run_folder, overrides, "evaluate")
    show_run(run_folder, tables, as_json)


@commands.command(epilog="Example: neuronspec compare runs/seed1 runs/seed2 runs/seed3")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B ...", help="Run folders.", show_default=False)],
    as_json: JsonOption = False,
    tables: TablesOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Compare evaluated runs: one experiment with several seeds, or two experiments."""
    from neuronspec.evaluation.compare import compare_runs
    from neuronspec.evaluation.compare_tables import compare_tables

    content = compare_runs(runs)
    made = compare_tables(content)
    if as_json:
        print_json(content.to_json())
    else:
        _show(made.values())
    _export(made, tables, quiet=as_json)


def score_files(external: External, overrides: Sequence[str] | None, tables: Path | None, as_json: bool) -> None:
    """`neuronspec evaluate --hyp FILE --ref FILE --lang CODE`.

    Raises:
        RecipeError: options that don't belong together, or an unknown tokenizer.
        NeuronspecError: as `evaluate_files`.
    """
    from neuronspec.evaluation.external import Files, evaluate_files, external_table
    from neuronspec.scoring.settings import ScoreSettings
    from neuronspec.scoring.tokenizers import parse_tokenizer

    if overrides:
        raise RecipeError("--set changes the recipe of a run; there is none with --hyp")
    hyp, ref, lang = external.hyp, external.ref, external.lang
    assert hyp and ref and lang, "is_meant asks for them"
    settings = ScoreSettings(
        tokenizers={lang: parse_tokenizer(external.tokenizer)} if external.tokenizer else {},
        flores200=external.flores200,
        detokenise=external.detokenise,
        comet=external.comet,
        comet_python=external.comet_python,
    )
    languages = [code.strip() for code in (external.languages or "").split(",") if code.strip()]
    files = Files(hyp, ref, lang, external.src, external.baseline, external.train or (), languages)
    found = evaluate_files(files, settings)
    if found.overlap and found.overlap.either:
        logger.warning("%s; scores on them say little", found.overlap)
    table = external_table(found)
    if as_json:
        print_json(found.to_json())
    else:
        _show([table])
        for line in _notes(found):
            typer.echo(line)
    _export({"scores": table}, tables, quiet=as_json)


def _notes(found: FilesScored) -> list[str]:
    """The signatures of the scores, and what was skipped."""
    from neuronspec.scoring.registry import METRICS

    signatures = [f"{name}: {score.signature}" for name, score in found.scores.items() if METRICS.get(name).resampled()]
    return signatures + [f"{name} skipped: {reason}" for name, reason in found.skipped.items()]


def show_run(run: Path, tables: Path | None, as_json: bool) -> None:
    """The results of a run, after its evaluation: `results.json`, or the main tables."""
    from neuronspec.evaluation import tables as of_run
    from neuronspec.evaluation.adaptation import adaptation_table
    from neuronspec.evaluation.results import Results
    from neuronspec.evaluation.transfer import all_tables, significance_table, transfer_table

    results = Results.load(RunFolder(run).results)
    if as_json:
        print_json(results.to_json())
    else:
        _show(
            [
                of_run.arms_table(results),
                of_run.tiers_table(results, "bleu"),
                of_run.tiers_table(results),
                of_run.families_table(results),
                adaptation_table(results),
                transfer_table(results, "base"),
                transfer_table(results, "bilingual"),
                of_run.directions_table(results),
                of_run.zero_shot_table(results),
                significance_table(results),
                of_run.other_scores_table(results),
            ]
        )
    _export(all_tables(results), tables, quiet=as_json)


def _show(tables: Iterable[Table | None]) -> None:
    for table in tables:
        if table is not None:
            console().print(table.to_rich())


def _export(tables: Mapping[str, Table], folder: Path | None, *, quiet: bool) -> None:
    from neuronspec.core.table import export

    if folder is None:
        return
    paths = export(tables, folder)
    if not quiet:
        console().print(f"{len(paths)} files with {len(tables)} tables: {folder}")
