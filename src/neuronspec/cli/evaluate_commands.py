"""What the commands `evaluate` and `compare` do beside running stages: check options, print, write tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from neuronspec.core.errors import RecipeError
from neuronspec.core.table import Table, export
from neuronspec.evaluation.compare import compare_runs
from neuronspec.evaluation.compare_tables import compare_tables
from neuronspec.evaluation.external import Files, evaluate_files, external_table
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import (
    arms_table,
    directions_table,
    families_table,
    other_scores_table,
    tiers_table,
    zero_shot_table,
)
from neuronspec.evaluation.transfer import all_tables, significance_table, transfer_table
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.tokenizers import parse_tokenizer

NEEDED = ("hyp", "ref", "lang")


def is_external(run: Path | None, options: Mapping[str, Any]) -> bool:
    """Whether `evaluate` was given files and not a run.

    Raises:
        RecipeError: neither, both, or not all files; says what is missing.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if run is not None and given:
        raise RecipeError(f"give a run folder, or files with --hyp, --ref and --lang; not {run} and {', '.join(given)}")
    missing = [f"--{name}" for name in NEEDED if not options[name]]
    if run is None and missing:
        raise RecipeError(
            f"{', '.join(missing)} missing: give a run folder, or files: "
            "neuronspec evaluate --hyp FILE --ref FILE --lang de"
        )
    return run is None


def score_files(
    options: Mapping[str, Any], overrides: Sequence[str] | None, tables: Path | None, as_json: bool, console: Console
) -> None:
    """`neuronspec evaluate --hyp FILE --ref FILE --lang CODE`.

    Raises:
        RecipeError: options that don't belong together.
        EvaluationError: as `evaluate_files`.
    """
    if overrides:
        raise RecipeError("--set changes the recipe of a run; there is none with --hyp")
    language = options["lang"]
    chosen = {language: parse_tokenizer(options["tokenizer"])} if options["tokenizer"] else {}
    settings = ScoreSettings.model_validate(
        {
            "tokenizers": chosen,
            **{name: options[name] for name in ("flores200", "detokenise", "comet", "comet_python")},
        }
    )
    languages = [code.strip() for code in (options["languages"] or "").split(",") if code.strip()]
    given = {name: options[name] for name in ("hyp", "ref", "src", "baseline")}
    found = evaluate_files(
        Files(**given, language=language, train=options["train"] or (), languages=languages), settings
    )
    table = external_table(found)
    if found.overlap and found.overlap.either:
        message = f"[yellow]warning: {found.overlap}; scores on them say little[/]"
        Console(stderr=True, soft_wrap=True).print(message)
    if as_json:
        _print_json(found.to_json())
    else:
        console.print(table.to_rich())
        for name, score in found.scores.items():
            if METRICS.get(name).resampled():
                console.print(f"{name}: {score.signature}", markup=False)
        for name, reason in found.skipped.items():
            console.print(f"{name} skipped: {reason}", markup=False)
    _export({"scores": table}, tables, console, quiet=as_json)


def show_run(run: Path, tables: Path | None, as_json: bool, console: Console) -> None:
    """The results of a run, after its evaluation: `results.json`, or the main tables."""
    results = Results.load(run / "results.json")
    if as_json:
        _print_json(results.to_json())
    else:
        shown = [
            arms_table(results),
            tiers_table(results, "bleu"),
            tiers_table(results),
            families_table(results),
            transfer_table(results, "base"),
            transfer_table(results, "bilingual"),
            directions_table(results),
            zero_shot_table(results),
            significance_table(results),
            other_scores_table(results),
        ]
        for table in shown:
            if table is not None:
                console.print(table.to_rich())
    _export(all_tables(results), tables, console, quiet=as_json)


def show_comparison(runs: Sequence[Path], tables: Path | None, as_json: bool, console: Console) -> None:
    """`neuronspec compare RUN_A RUN_B ...`.

    Raises:
        RecipeError, EvaluationError: as `compare_runs`.
    """
    content = compare_runs(runs)
    made = compare_tables(content)
    if as_json:
        _print_json(content.to_json())
    else:
        for table in made.values():
            console.print(table.to_rich())
    _export(made, tables, console, quiet=as_json)


def _export(tables: Mapping[str, Table], folder: Path | None, console: Console, *, quiet: bool) -> None:
    if folder is None:
        return
    paths = export(tables, folder)
    if not quiet:
        console.print(f"{len(paths)} files with {len(tables)} tables: {folder}")


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))
