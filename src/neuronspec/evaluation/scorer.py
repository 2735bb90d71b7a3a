"""Scoring what an arm translated: each direction once, and again only if its text or the settings changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.errors import MissingExtraError
from neuronspec.core.progress import SILENT, Progress
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.results import ArmScores, DirectionScore, read_scores_file, write_scores
from neuronspec.evaluation.samples import read_lines
from neuronspec.scoring.comet import comet, find_checkpoint, why_not
from neuronspec.scoring.langid import LanguageIdentifier
from neuronspec.scoring.metrics.comet import Comet
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.score import Score, check_lines, check_metrics, score_with_statistics, skipped_metrics
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics, load_statistics, save_statistics

NO_COMET = "no comet"
"""The fingerprint of scores that COMET isn't among."""

_COMPARISON = {"resamples", "trials", "comet", "comet_python"}
"""Settings that the scores of one test set don't depend on, COMET aside."""


Texts = list[list[str]]
"""Sources, hypotheses, references."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one test set by name, and the statistics by sentence of those that can be resampled."""

    scores: dict[str, Score]
    statistics: Statistics


class Scorer:
    """Computes the scores that the settings ask for.

    Args:
        settings: which, and how.
        languages: the choices of the language identifier: those that the model translates between.
        targets: the languages that are translated into.
        uniform: score as version 0.1 did, for runs that were prepared by it: with the same TER in all languages.

    Attributes:
        skipped: scores that are asked for and can't be computed here, or not into some languages, and why.
    """

    def __init__(
        self, settings: ScoreSettings, languages: Sequence[str], targets: Sequence[str] = (), *, uniform: bool = False
    ) -> None:
        self.settings = settings
        self.languages = sorted(set(languages))
        self.uniform = uniform
        self.skipped: dict[str, str] = {} if uniform else skipped_metrics(targets, settings)
        self._identifier = self._make_identifier()
        if settings.comet is not None:
            find_checkpoint(settings.comet)
            reason = why_not(settings.comet_python)
            if reason is not None:
                self.skipped["comet"] = reason

    @classmethod
    def of_run(cls, settings: ScoreSettings, directions: Sequence[Direction], store: TokenStore) -> Scorer:
        """For the directions of a run with this store."""
        targets = [direction.target for direction in directions]
        return cls(settings, languages_of(directions), targets, uniform=store.references == "cleaned")

    def _make_identifier(self) -> LanguageIdentifier | None:
        if not self.settings.off_target:
            return None
        try:
            identifier = LanguageIdentifier(self.languages)
        except MissingExtraError as error:
            self.skipped["off_target"] = str(error)
            return None
        unjudged = [code for code in self.languages if not identifier.can_judge(code)]
        if unjudged:
            self.skipped["off_target"] = f"py3langid can't distinguish: {', '.join(unjudged)}"
        return identifier

    def fingerprint(self, *texts: Sequence[str]) -> str:
        """A hash of what the scores of a test set depend on, COMET aside."""
        kept = self.settings.model_dump(mode="json", exclude=_COMPARISON)
        if kept["metrics"] is None:  # as before there was this setting
            del kept["metrics"]
        versions = [metadata.version("sacrebleu"), self._identifier.signature if self._identifier else None]
        rules = [] if self.uniform else ["metrics by language"]  # as before there were any
        content = json.dumps([kept, self.languages, versions, texts, *rules])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def score(self, hypotheses: Sequence[str], references: Sequence[str], language: str) -> Scored:
        """All scores of one test set into `language` but COMET.

        Raises:
            EvaluationError: as `check_lines` and `check_metrics`.
        """
        check_lines(hypotheses, references)
        texts, suffix = [hypotheses, references], ""
        if self.settings.detokenise:
            from neuronspec.scoring.detokenise import detokenised, signature

            texts, suffix = [detokenised(lines, language) for lines in texts], f"|{signature()}"
        scores, statistics = score_with_statistics(texts[0], texts[1], language, self.settings, uniform=self.uniform)
        scores = {name: replace(found, signature=found.signature + suffix) for name, found in scores.items()}
        return Scored(scores | self._off_target(hypotheses, references, language), statistics)

    def _off_target(self, hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Score]:
        identifier = self._identifier
        if identifier is None or not identifier.can_judge(language):
            return {}
        rates = {"off_target": hypotheses, "off_target_reference": references}
        found = {name: identifier.off_target(lines, language) for name, lines in rates.items()}
        return {
            name: Score(
                rate, identifier.signature, sum(bool(line.strip()) for line in rates[name]), METRICS.get(name).scale
            )
            for name, rate in found.items()
            if rate is not None
        }

    def comet(self, sets: Sequence[Texts]) -> list[tuple[Score, np.ndarray] | None]:
        """COMET of each test set, and its statistics; None where it is among `skipped`.

        Raises:
            EvaluationError: COMET failed.
        """
        if "comet" in self.skipped or self.settings.comet is None:
            return [None] * len(sets)
        sources, hypotheses, references = ([line for texts in sets for line in texts[side]] for side in range(3))
        found = comet(sources, hypotheses, references, self.settings.comet, self.settings.comet_python)
        ends = np.cumsum([len(texts[0]) for texts in sets])
        parts = np.split(np.array([[segment, 1.0] for segment in found.segments]), ends[:-1])
        return [(Score(float(p[:, 0].mean()), found.signature, len(p), Comet.scale), p) for p in parts]

    def comet_fingerprint(self, scored_from: str) -> str:
        """A hash of what COMET depends on, or `NO_COMET`."""
        if "comet" in self.skipped or self.settings.comet is None:
            return NO_COMET
        file = find_checkpoint(self.settings.comet).stat()
        return hashlib.sha256(f"{scored_from} {file.st_size} {file.st_mtime_ns}".encode()).hexdigest()[:16]


def score_direction(
    folder: Path, name: str, texts: Texts, scorer: Scorer, facts: Mapping[str, Any], old: DirectionScore | None = None
) -> tuple[DirectionScore, Statistics]:
    """The scores of one direction: `old` if it is up to date, else computed anew, without COMET.

    Args:
        folder: `RUN/evaluation/ARM`; gets the statistics.
        name: of the direction.
        texts: sources, hypotheses, references.
        scorer: what to compute.
        facts: `DirectionScore.facts`.
        old: the entry so far.
    """
    path = folder / f"{name}.statistics.safetensors"
    scored_from = scorer.fingerprint(*texts)
    statistics = load_statistics(path, scored_from) if old and old.scored_from == scored_from else None
    if old is not None and statistics is not None:
        return old, statistics
    found = scorer.score(texts[1], texts[2], name.partition("-")[2])
    save_statistics(path, found.statistics, scored_from)
    new, comet_from = DirectionScore.of(found.scores, facts, scored_from), scorer.comet_fingerprint(scored_from)
    return new.with_comet(None, comet_from) if comet_from == NO_COMET else new, found.statistics


def score_arms(
    folder: Path, arms: Sequence[str], scorer: Scorer, progress: Progress = SILENT
) -> dict[str, tuple[ArmScores, dict[str, Statistics]]]:
    """The scores and the statistics of all directions by arm; computes and writes what isn't up to date.

    COMET is slow to start, so it gets all sentences of all arms at once.

    Args:
        folder: `RUN/evaluation`.
        arms: the folders in it.
        scorer: what to compute.
        progress: shows how far it is, in arms.

    Raises:
        EvaluationError: a file is missing or damaged, or COMET failed.
    """
    found: dict[str, tuple[ArmScores, dict[str, Statistics]]] = {}
    stale: list[tuple[str, str, Texts]] = []
    for arm in progress.track(arms, "scoring"):
        content, scores, statistics = read_scores_file(folder / arm), {}, {}
        for name, old in (content.scores if content else {}).items():
            texts = [read_lines(folder / arm / f"{name}.{part}") for part in ("src", "hyp", "ref")]
            scores[name], statistics[name] = score_direction(folder / arm, name, texts, scorer, old.facts, old)
            if scores[name].comet_from != scorer.comet_fingerprint(scores[name].scored_from):
                stale.append((arm, name, texts))
        found[arm] = scores, statistics
        if content and scores != content.scores:
            write_scores(folder / arm, scores, content.made_from, content.products)
    _add_comet(folder, found, stale, scorer)
    return found


def _add_comet(
    folder: Path,
    found: dict[str, tuple[ArmScores, dict[str, Statistics]]],
    stale: Sequence[tuple[str, str, Texts]],
    scorer: Scorer,
) -> None:
    """Compute (or take out) COMET where it isn't up to date, and write it down."""
    made = scorer.comet([texts for _, _, texts in stale]) if stale else []
    for (arm, name, _), result in zip(stale, made, strict=True):
        scores, statistics = found[arm]
        old = scores[name]
        statistics[name].pop("comet", None)
        if result is not None:
            statistics[name]["comet"] = result[1]
        scores[name] = old.with_comet(result[0] if result else None, scorer.comet_fingerprint(old.scored_from))
        save_statistics(folder / arm / f"{name}.statistics.safetensors", statistics[name], old.scored_from)
    for arm in {arm for arm, _, _ in stale}:
        content = read_scores_file(folder / arm)
        assert content is not None, "scores were read above"
        write_scores(folder / arm, found[arm][0], content.made_from, content.products)


def check_scoring(settings: ScoreSettings, languages: Sequence[str]) -> None:
    """Check before the long work that all scores can be computed.

    Args:
        settings: what is asked for.
        languages: that are translated into.

    Raises:
        EvaluationError: a tokenizer or its model is missing, or the path of COMET isn't a checkpoint.
        RecipeError: a language is unknown.
        MissingExtraError: sacremoses isn't installed and text shall be detokenised.
    """
    check_metrics(languages, settings)
    if settings.comet is not None:
        find_checkpoint(settings.comet)
    if settings.detokenise:
        from neuronspec.scoring.detokenise import detokenised

        detokenised(["."], languages[0])
