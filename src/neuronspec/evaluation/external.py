"""Scoring any system's output: files of hypotheses and references, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuronspec.core.errors import EvaluationError, RecipeError
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.contamination import text_overlap
from neuronspec.evaluation.samples import read_text_lines
from neuronspec.evaluation.scorer import Scorer, check_scoring
from neuronspec.evaluation.tables import digits_of, label_of
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.resampling import Difference, PairedTests
from neuronspec.scoring.score import Score, check_lines
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.significance import LEVEL, method
from neuronspec.scoring.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Files:
    """The files of `neuronspec evaluate --hyp HYP --ref REF`.

    Args:
        hyp, ref: one sentence per line.
        language: of both.
        src: the sources; COMET needs them.
        baseline: another system's translations, to test the difference.
        train: training text, to count the test sentences in it.
        languages: that a translation could be in by mistake; without them no off-target rate.
    """

    hyp: Path
    ref: Path
    language: str
    src: Path | None = None
    baseline: Path | None = None
    train: Sequence[Path] = ()
    languages: Sequence[str] = field(default_factory=list)


def evaluate_files(files: Files, settings: ScoreSettings) -> dict[str, Any]:
    """The scores as plain JSON: `{"bleu": {"score", "scale", "signature", "n"}, "chrf++": ...}`.

    With a baseline, `baseline` has its scores and `significance` the tests; with training text, `overlap` counts.
    `skipped` says what wasn't computed, and why.

    Raises:
        EvaluationError: a file can't be read, the files differ in length, a reference is empty, or the language or
            the checkpoint is none.
    """
    check_scoring(settings, [files.language])
    hypotheses, references = read_text_lines(files.hyp), read_text_lines(files.ref)
    check_lines(hypotheses, references, (str(files.hyp), str(files.ref)))
    sources = _companion(files.src, "sources", files, len(references))
    baseline = _companion(files.baseline, "baseline translations", files, len(references))
    scorer = _scorer(files, settings, sources)
    scores, statistics = _score(scorer, sources, hypotheses, references, files.language)
    content: dict[str, Any] = scores_json(scores)
    if baseline is not None:
        others, other_statistics = _score(scorer, sources, baseline, references, files.language)
        systems = {"hyp": statistics, "baseline": other_statistics}
        tests = PairedTests(systems, resamples=settings.resamples, trials=settings.trials)
        content["baseline"] = scores_json(others)
        content["significance"] = _tests_json(tests.compare([("hyp", "baseline")])["hyp", "baseline"], settings)
    if files.train:
        content["overlap"] = asdict(text_overlap(sources, references, files.train))
    content["skipped"] = scorer.skipped
    return content


def _scorer(files: Files, settings: ScoreSettings, sources: Sequence[str] | None) -> Scorer:
    choices = {*files.languages, files.language} if files.languages else set()
    if not choices:
        settings = settings.model_copy(update={"off_target": False})
    scorer = Scorer(settings, sorted(choices))
    if not choices:
        scorer.skipped["off_target"] = "no languages to choose from were given (--languages de,en,fr)"
    if sources is None and "comet" not in scorer.skipped:
        raise RecipeError("COMET needs the sources: give them with --src")
    return scorer


def _companion(path: Path | None, what: str, files: Files, count: int) -> list[str] | None:
    """The lines of a file that must have as many as the references."""
    if path is None:
        return None
    lines = read_text_lines(path)
    if len(lines) != count:
        raise EvaluationError(
            f"{len(lines)} {what} in {path} and {count} references in {files.ref}: each line needs its counterpart; "
            "an empty translation is an empty line"
        )
    return lines


def _score(
    scorer: Scorer, sources: list[str] | None, hypotheses: list[str], references: list[str], language: str
) -> tuple[dict[str, Score], Statistics]:
    found = scorer.score(hypotheses, references, language)
    made = scorer.comet([[sources, hypotheses, references]])[0] if sources is not None else None
    if made is None:
        return found.scores, found.statistics
    return found.scores | {"comet": made[0]}, found.statistics | {"comet": made[1]}


def scores_json(scores: dict[str, Score]) -> dict[str, Any]:
    """`{"bleu": {"score", "scale", "signature", "n"}}`."""
    return {
        name: {"score": found.value, "scale": found.scale, "signature": found.signature, "n": found.n}
        for name, found in scores.items()
    }


def _tests_json(tests: dict[str, Difference], settings: ScoreSettings) -> dict[str, Any]:
    used = method(settings.resamples, settings.trials)
    kept = {name: used[name] for name in ("bootstrap", "randomization", "seed", "level")}
    found = {}
    for metric, test in tests.items():
        content = asdict(test)
        found[metric] = {"difference": content.pop("value"), **content}
    return {"method": kept, **found}


def external_table(content: dict[str, Any]) -> Table:
    """The result of `evaluate_files` as a table with one row per score; with a baseline also the tests."""
    baseline, tests = content.get("baseline"), content.get("significance", {})
    columns = ["score", "value", *(["baseline", "difference", "p bootstrap", "p randomization"] if baseline else [])]
    rows: list[list[str]] = []
    for name in METRICS:
        if name not in content:
            continue
        digits = digits_of(name)
        row: list[str] = [label_of(name), _cell(content[name]["score"], digits)]
        if baseline:
            row.append(_cell(baseline[name]["score"], digits) if name in baseline else Cell("–"))
            row += _test_cells(tests.get(name), digits)
        rows.append(row)
    first = content["bleu"]
    note = f"* p < {LEVEL}, paired bootstrap" if baseline else ""
    return Table(f"{first['n']} sentences", columns, rows, note)


def _test_cells(test: dict[str, Any] | None, digits: int) -> list[str]:
    if test is None:
        return [Cell(""), Cell(""), Cell("")]
    mark = "*" if test["bootstrap_p"] < LEVEL else ""
    shown = f"{test['difference']:+.{digits + 1}f}{mark}"
    p_values = (test["bootstrap_p"], test["randomization_p"])
    return [Cell(shown, test["difference"], mark=mark), *(Cell(f"{p:.4f}", p) for p in p_values)]


def _cell(value: float, digits: int) -> Cell:
    return Cell(f"{value:.{digits}f}", value)
