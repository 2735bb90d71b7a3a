"""Comparing runs: one experiment with several seeds, or two experiments with the same test sets.

Runs whose recipes differ in the seed alone (or in the name) are one experiment. Over seeds, a difference is judged by a
paired t-test on the runs' means over directions: the only test that covers the randomness of training.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from neuronspec.core.errors import EvaluationError, RecipeError
from neuronspec.core.run_folder import RunFolder
from neuronspec.evaluation.alignment import sentence_ids
from neuronspec.evaluation.results import MAIN_SCORES, DirectionResult, Results, read_scores_file
from neuronspec.evaluation.samples import read_lines
from neuronspec.evaluation.seeds import SeedDifference, SeedSummary, seed_test, summarize_seeds
from neuronspec.recipe import Recipe
from neuronspec.scoring.pairwise import Pairs, compare_systems, method
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.significance import Comparison, method_and_control
from neuronspec.scoring.statistics import Statistics, load_statistics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluatedRun:
    """A run folder with results.

    Args:
        folder: of the run.
        experiment: the recipe without name and seed, as JSON text.
        seed: of the recipe.
        results: of the run.
    """

    folder: Path
    experiment: str
    seed: int
    results: Results

    @classmethod
    def open(cls, folder: Path) -> EvaluatedRun:
        """Read a run folder.

        Raises:
            RecipeError: it isn't a run folder.
            EvaluationError: it has no results, or damaged ones.
        """
        recipe = Recipe.of_run(folder)
        kept = recipe.model_dump(mode="json", exclude={"name", "seed", "report"})
        results = Results.load(RunFolder(folder).results)
        return cls(folder, json.dumps(kept, sort_keys=True), recipe.seed, results)

    @property
    def arms(self) -> list[str]:
        """In the order of the tables."""
        return list(self.results.arms)

    @property
    def directions(self) -> list[str]:
        """The trained directions that were to be evaluated."""
        named = self.results.directions or sorted({d for arm in self.results.arms.values() for d in arm})
        return [name for name in named if name not in self.results.zero_shot]

    def mean(self, arm: str, metric: str) -> float | None:
        """The mean over the directions; None if one is missing: means over others can't be compared."""
        return _mean(self.results.arms.get(arm, {}), self.directions, metric)

    def statistics(self, arm: str) -> dict[str, Statistics]:
        """The statistics of an arm by direction.

        Raises:
            EvaluationError: they are missing.
        """
        folder = RunFolder(self.folder).evaluation(arm)
        content = read_scores_file(folder)
        found = {}
        for name, score in (content.scores if content else {}).items():
            rows = load_statistics(folder / f"{name}.statistics.safetensors", score.scored_from)
            if rows is None:
                raise EvaluationError(
                    f"{folder}: no statistics of {name}; run 'neuronspec evaluate {self.folder}' again"
                )
            found[name] = rows
        return found


@dataclass(frozen=True, slots=True)
class SeedsCompared:
    """One experiment with several seeds.

    Args:
        seeds: of the runs.
        arms: by arm and metric, the means over directions.
        pairs: by arm, control and metric, the differences within a run.
    """

    seeds: list[int]
    arms: dict[str, dict[str, SeedSummary]]
    pairs: dict[str, dict[str, dict[str, SeedSummary]]]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, under `seeds`."""
        arms = {arm: _json(found) for arm, found in self.arms.items()}
        pairs = {
            arm: {control: _json(found) for control, found in others.items()} for arm, others in self.pairs.items()
        }
        return {"seeds": {"seeds": self.seeds, "arms": arms, "pairs": pairs}}


@dataclass(frozen=True, slots=True)
class ExperimentsCompared:
    """Two experiments: the arms that both have, second minus first.

    Args:
        first, second: the run folders of each, by seed.
        directions: that all runs have.
        method: how the tests on sentences were made; None with several seeds.
        sentences: with one run each, by arm and metric, the tests on sentences.
        seeds: with several, by arm and metric, the tests over seeds.
    """

    first: list[str]
    second: list[str]
    directions: list[str]
    method: dict[str, Any] | None = None
    sentences: dict[str, dict[str, Comparison]] | None = None
    seeds: dict[str, dict[str, SeedDifference]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, under `experiments`."""
        content: dict[str, Any] = {"first": self.first, "second": self.second, "directions": self.directions}
        if self.seeds is not None:
            content["seeds"] = {arm: _json(found) for arm, found in self.seeds.items()}
        if self.sentences is not None:
            content["method"] = self.method
            content["arms"] = {arm: _json(found) for arm, found in self.sentences.items()}
        return {"experiments": content}


def _json(found: Mapping[str, SeedSummary | SeedDifference | Comparison]) -> dict[str, Any]:
    return {metric: one.to_json() for metric, one in found.items()}


def open_runs(folders: Sequence[Path]) -> list[list[EvaluatedRun]]:
    """Runs grouped by experiment, in the order given; one or two groups.

    Raises:
        RecipeError: fewer than two runs, a folder given twice, a seed twice in an experiment, or more than two
            experiments.
    """
    if len(folders) < 2:
        raise RecipeError("compare needs two runs or more: neuronspec compare RUN_A RUN_B")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise RecipeError("a run is named twice")
    groups: dict[str, list[EvaluatedRun]] = {}
    for folder in folders:
        run = EvaluatedRun.open(folder)
        groups.setdefault(run.experiment, []).append(run)
    for runs in groups.values():
        seeds = [run.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            raise RecipeError(
                f"{', '.join(str(run.folder) for run in runs)} are the same experiment and share a seed "
                f"({', '.join(map(str, seeds))}); runs of one experiment must differ in their seeds"
            )
    if len(groups) > 2:
        firsts = ", ".join(str(runs[0].folder) for runs in groups.values())
        raise RecipeError(
            f"these runs are {len(groups)} different experiments ({firsts}, ...); compare takes one experiment with "
            "several seeds, or two"
        )
    return list(groups.values())


def compare_seeds(runs: Sequence[EvaluatedRun]) -> SeedsCompared:
    """Compare the arms of one experiment with several seeds."""
    arms = [arm for arm in runs[0].arms if all(arm in run.arms for run in runs)]
    content = SeedsCompared([run.seed for run in runs], {}, {})
    for metric in MAIN_SCORES:
        for arm in arms:
            values = [run.mean(arm, metric) for run in runs]
            known = [value for value in values if value is not None]
            if len(known) == len(runs):
                content.arms.setdefault(arm, {})[metric] = summarize_seeds(known)
        for names in combinations([arm for arm in arms if arm != "copy"], 2):
            arm, control = method_and_control(*names)
            pairs = [(run.mean(arm, metric), run.mean(control, metric)) for run in runs]
            gains = [one - two for one, two in pairs if one is not None and two is not None]
            if len(gains) == len(runs):
                summary = summarize_seeds(gains, test=True)
                content.pairs.setdefault(arm, {}).setdefault(control, {})[metric] = summary
    return content


def compare_experiments(
    first: Sequence[EvaluatedRun], second: Sequence[EvaluatedRun], resamples: int = 1000, trials: int = 10_000
) -> ExperimentsCompared:
    """Compare two experiments: the arms that both have, second minus first.

    With one run each, sentence by sentence on the same test sets. With several, by seeds: paired where the seeds are
    the same, else Welch's test.

    Raises:
        EvaluationError: single runs whose test sets differ, or no arm or direction in common.
    """
    arms = [arm for arm in first[0].arms if all(arm in run.arms for run in [*first, *second]) and arm != "copy"]
    names = [n for n in first[0].directions if all(n in run.directions for run in [*first, *second])]
    if not arms or not names:
        what = "arm" if not arms else "direction"
        raise EvaluationError(f"{first[0].folder} and {second[0].folder} have no {what} in common")
    # pairs are made in this order, whatever the order that the runs were named in
    first, second = (sorted(runs, key=lambda run: run.seed) for runs in (first, second))
    content = ExperimentsCompared(_names(first), _names(second), names)
    skipped = _scored_otherwise([*first, *second], names)
    if len(first) == len(second) == 1:
        tests = _paired_runs(first[0], second[0], arms, names, skipped, resamples, trials)
        return replace(content, method=method(resamples, trials), sentences=tests)
    return replace(content, seeds=_by_seed(first, second, arms, names, skipped))


def _scored_otherwise(runs: Sequence[EvaluatedRun], names: Sequence[str]) -> set[str]:
    """The metrics that the runs computed in different ways, such as with another tokenizer; says which."""
    skipped = set()
    known = dict.fromkeys(metric for run in runs for metric in run.results.signatures)
    for metric in [metric for metric in known if metric in METRICS and METRICS.get(metric).resampled()]:
        for name in names:
            found = [one for run in runs if (one := run.results.signatures.get(metric, {}).get(name))]
            other = next((one for one in found if one != found[0]), None)
            if other is not None:
                skipped.add(metric)
                logger.warning(
                    "%s isn't compared: it was computed in different ways (%s: %s, and %s); give both recipes the same "
                    "evaluation.scores, and run 'neuronspec evaluate' on both",
                    metric, name, found[0], other,
                )  # fmt: skip
                break
    return skipped


def _names(runs: Sequence[EvaluatedRun]) -> list[str]:
    return [str(run.folder) for run in runs]


def _paired_runs(
    first: EvaluatedRun,
    second: EvaluatedRun,
    arms: Sequence[str],
    names: Sequence[str],
    skipped: set[str],
    resamples: int,
    trials: int,
) -> dict[str, dict[str, Comparison]]:
    for name in names:
        references = [read_lines(RunFolder(run.folder).evaluation(arms[0]) / f"{name}.ref") for run in (first, second)]
        if references[0] != references[1]:
            raise EvaluationError(
                f"{first.folder} and {second.folder} have different test sets of {name} "
                f"({len(references[0])} and {len(references[1])} sentences, references {first.results.references} and "
                f"{second.results.references}): a paired test needs the same one; give both recipes the same test text "
                "and seed, prepare both anew if one has cleaned references, or compare several seeds of each"
            )
    ids = sentence_ids([RunFolder(first.folder).evaluation(arms[0])], names)
    content = {}
    for arm in arms:
        statistics = {
            side: {name: _without(rows, skipped) for name, rows in run.statistics(arm).items() if name in names}
            for side, run in (("second", second), ("first", first))
        }
        there = [name for name in names if all(rows.get(name) for rows in statistics.values())]
        found: Pairs = compare_systems(
            {side: {name: rows[name] for name in there} for side, rows in statistics.items()},
            [("second", "first")],
            names,
            ids=ids,
            resamples=resamples,
            trials=trials,
        )
        content[arm] = found["second", "first"]
    return content


def _without(rows: Statistics, skipped: set[str]) -> Statistics:
    return {metric: values for metric, values in rows.items() if metric not in skipped}


def _by_seed(
    first: Sequence[EvaluatedRun],
    second: Sequence[EvaluatedRun],
    arms: Sequence[str],
    names: Sequence[str],
    skipped: set[str],
) -> dict[str, dict[str, SeedDifference]]:
    content: dict[str, dict[str, SeedDifference]] = {}
    paired = [run.seed for run in first] == [run.seed for run in second]
    for arm in arms:
        for metric in [one for one in MAIN_SCORES if one not in skipped]:
            values = [[_mean(run.results.arms[arm], names, metric) for run in runs] for runs in (first, second)]
            known = [[value for value in side if value is not None] for side in values]
            if known != values:
                continue
            one, two = map(summarize_seeds, known)
            test, p = seed_test(known[0], known[1], paired)
            content.setdefault(arm, {})[metric] = SeedDifference(one, two, two.mean - one.mean, test, p)
    return content


def _mean(scores: Mapping[str, DirectionResult], names: Sequence[str], metric: str) -> float | None:
    values = [scores[name].get(metric) if name in scores else None for name in names]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def compare_runs(folders: Sequence[Path]) -> SeedsCompared | ExperimentsCompared:
    """Compare the runs of one experiment, or of two.

    Raises:
        RecipeError: these runs can't be compared; says why.
        EvaluationError: results are missing or damaged, or test sets differ.
    """
    groups = open_runs(folders)
    if len(groups) == 1:
        return compare_seeds(groups[0])
    return compare_experiments(groups[0], groups[1])
