"""Scoring any system's output: files of hypotheses and references, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neuronspec.core.errors import EvaluationError, RecipeError
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.contamination import Overlap, text_overlap
from neuronspec.evaluation.samples import read_text_lines
from neuronspec.evaluation.scorer import Scorer, check_scoring
from neuronspec.evaluation.tables import digits_of, label_of
from neuronspec.scoring.pairwise import method
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.resampling import Difference, PairedTests
from neuronspec.scoring.score import Score, check_lines
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.significance import LEVEL
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


@dataclass(frozen=True, slots=True)
class FilesScored:
    """The scores of a file.

    Args:
        scores: by name.
        skipped: scores that weren't computed, and why.
        baseline: the baseline's scores; None without one.
        tests: by metric, the difference to the baseline.
        method: how the tests were made.
        overlap: test sentences that are in the training text; None where none is given.
    """

    scores: dict[str, Score]
    skipped: dict[str, str]
    baseline: dict[str, Score] | None = None
    tests: Mapping[str, Difference] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)
    overlap: Overlap | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: `{"bleu": {"score", "scale", "signature", "n"}, "chrf++": ..., "skipped": ...}`.

        With a baseline, `baseline` has its scores and `significance` the tests; with training text, `overlap` counts.
        """
        content = _scores_json(self.scores)
        if self.baseline is not None:
            content["baseline"] = _scores_json(self.baseline)
            content["significance"] = {"method": dict(self.method), **_tests_json(self.tests)}
        if self.overlap is not None:
            content["overlap"] = asdict(self.overlap)
        return content | {"skipped": self.skipped}


def evaluate_files(files: Files, settings: ScoreSettings) -> FilesScored:
    """Score the translations in a file.

    Args:
        files: hypotheses, references and what else there is.
        settings: which scores, and how.

    Raises:
        PathError: a file is missing.
        EvaluationError: a file can't be read, the files differ in length, a reference is empty, or the checkpoint is
            none.
        RecipeError: the language is unknown.
    """
    check_scoring(settings, [files.language])
    hypotheses, references = read_text_lines(files.hyp), read_text_lines(files.ref)
    check_lines(hypotheses, references, (str(files.hyp), str(files.ref)))
    sources = _companion(files.src, "sources", files, len(references))
    baseline = _companion(files.baseline, "baseline translations", files, len(references))
    scorer = _scorer(files, settings, sources)
    scores, statistics = _score(scorer, sources, hypotheses, references, files.language)
    found = FilesScored(scores, scorer.skipped)
    if files.train:
        found = replace(found, overlap=text_overlap(sources, references, files.train))
    if baseline is None:
        return found
    others, other_statistics = _score(scorer, sources, baseline, references, files.language)
    systems = {"hyp": statistics, "baseline": other_statistics}
    tests = PairedTests(systems, resamples=settings.resamples, trials=settings.trials)
    used = method(settings.resamples, settings.trials)
    kept = {name: used[name] for name in ("p", "sacrebleu_bootstrap_p", "seed", "level")}
    return replace(found, baseline=others, tests=tests.compare([("hyp", "baseline")])["hyp", "baseline"], method=kept)


def _scorer(files: Files, settings: ScoreSettings, sources: Sequence[str] | None) -> Scorer:
    choices = {*files.languages, files.language} if files.languages else set()
    if not choices:
        settings = settings.model_copy(update={"off_target": False})
    scorer = Scorer(settings, sorted(choices), [files.language])
    if sources is None and settings.comet is not None and "comet" not in scorer.skipped:
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


def _scores_json(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {
        name: {"score": found.value, "scale": found.scale, "signature": found.signature, "n": found.n}
        for name, found in scores.items()
    }


def _tests_json(tests: Mapping[str, Difference]) -> dict[str, Any]:
    found = {}
    for metric, test in tests.items():
        content = asdict(test)
        found[metric] = {"difference": content.pop("value"), **content}
    return found


def external_table(found: FilesScored) -> Table:
    """One row per score; with a baseline, the difference and p-values too."""
    baseline = found.baseline
    compared = ["baseline", "difference", "p", "sacreBLEU's bootstrap"] if baseline is not None else []
    rows: list[list[str]] = []
    for name in METRICS:
        if name not in found.scores:
            continue
        digits = digits_of(name)
        row: list[str] = [label_of(name), _cell(found.scores[name].value, digits)]
        if baseline is not None:
            row.append(_cell(baseline[name].value, digits) if name in baseline else Cell("–"))
            row += _test_cells(found.tests.get(name), digits)
        rows.append(row)
    note = (
        f"* p < {LEVEL} on these sentences: approximate randomization, two-sided. sacreBLEU's bootstrap: the p of "
        "--paired-bs, which is too small"
        if baseline is not None
        else ""
    )
    return Table(f"{found.scores['bleu'].n} sentences", ["score", "value", *compared], rows, note)


def _test_cells(test: Difference | None, digits: int) -> list[str]:
    if test is None:
        return [Cell(""), Cell(""), Cell("")]
    mark = "*" if test.p < LEVEL else ""
    p_values = [Cell(f"{p:.4f}", p) for p in (test.p, test.sacrebleu_bootstrap_p)]
    return [Cell(f"{test.value:+.{digits + 1}f}{mark}", test.value, mark=mark), *p_values]


def _cell(value: float, digits: int) -> Cell:
    return Cell(f"{value:.{digits}f}", value)
