"""Scores of arms: what was measured, written to `scores.json` of each arm and gathered in `RUN/results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from neuronspec.core.checksums import verify
from neuronspec.core.environment import environment
from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation.arithmetic import Arithmetic
from neuronspec.scoring.old_significance import upgraded
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.score import Score, scales
from neuronspec.scoring.significance import DirectionTest, Significance

MAIN_SCORES = ("bleu", "chrf++", "loss")
"""The scores that every arm has, in the order of the main tables; `copy` has no loss."""


class DirectionResult(BaseModel):
    """The scores of an arm in a direction, as `results.json` has them.

    Args:
        bleu, chrf: 0 to 100; chrF++ is `chrf++` in files.
        loss: nats per target token under teacher forcing; None where there is no model (`copy`).
        n: sentences.
        truncated: sources that were cut to what the model reads.
        others: any further score by its name in `METRICS`, if it was computed.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, int | float]
    bleu: float | None
    chrf: float | None = Field(alias="chrf++")
    loss: float | None
    n: int
    truncated: int = 0

    @property
    def others(self) -> dict[str, int | float]:
        """The scores beside BLEU, chrF++ and the loss, by name."""
        return self.__pydantic_extra__ or {}

    def get(self, score: str) -> float | None:
        """A score by its name in files; None if it wasn't computed."""
        own = {"bleu": self.bleu, "chrf++": self.chrf, "loss": self.loss, "truncated": self.truncated}
        return own[score] if score in own else self.others.get(score)


def label_of(score: str) -> str:
    """What tables call a score of `results.json`."""
    return METRICS.get(score).label if score in METRICS else score


def digits_of(score: str) -> int:
    """The decimals that tables show of a score."""
    return METRICS.get(score).digits if score in METRICS else 1


@dataclass(frozen=True, slots=True)
class Average:
    """A mean over directions.

    Args:
        value: None where no direction has the score.
        n: directions that have it.
        of: directions that should.
    """

    value: float | None
    n: int
    of: int

    def show(self, digits: int, *, signed: bool = False, mark: str = "") -> Cell:
        """`12.3`, `12.3 (2 of 3)` where directions are missing, `–` where all are; `signed`: `+12.3`; then the mark."""
        if self.value is None:
            return Cell("–", None, self.n, self.of)
        missing = f" ({self.n} of {self.of})" if self.n < self.of else ""
        text = f"{self.value:{'+' if signed else ''}.{digits}f}{mark}{missing}"
        return Cell(text, self.value, self.n, self.of, mark)


def average(scores: Mapping[str, DirectionResult], directions: Sequence[str], metric: str) -> Average:
    """The mean of a metric over `directions`; one that is missing is counted as missing, never left out silently."""
    values = [scores[name].get(metric) for name in directions if name in scores]
    known = [value for value in values if value is not None]
    return Average(sum(known) / len(known) if known else None, len(known), len(directions))


class DirectionScore(DirectionResult):
    """The scores of an arm in a direction, and what they were computed from, as `scores.json` has them.

    Args:
        signatures: what exactly was computed, by score.
        scored_from, comet_from: fingerprints of the text and the settings.
    """

    bleu: float
    chrf: float = Field(alias="chrf++")
    n: int = Field(gt=0)
    signatures: dict[str, str]
    scored_from: str = ""
    comet_from: str = ""

    @model_validator(mode="before")
    @classmethod
    def _drop_missing(cls, values: Any) -> Any:
        """Version 0.1 wrote `null` for scores that weren't computed."""
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not None or name == "loss"}
        return values

    @classmethod
    def of(cls, scores: Mapping[str, Score], facts: Mapping[str, Any], scored_from: str) -> DirectionScore:
        """From the scores of the text, and `facts` beside them; without COMET."""
        signatures = {name: score.signature for name, score in scores.items()}
        values = {name: score.value for name, score in scores.items()}
        return cls(signatures=signatures, scored_from=scored_from, **facts, **values)

    @property
    def facts(self) -> dict[str, Any]:
        """What isn't computed from the text."""
        return {"loss": self.loss, "n": self.n, "truncated": self.truncated}

    def with_comet(self, score: Score | None, comet_from: str) -> DirectionScore:
        """The same with COMET, or without."""
        content = self.model_dump(by_alias=True)
        content.pop("comet", None)
        content["signatures"].pop("comet", None)
        content["comet_from"] = comet_from
        if score is not None:
            content["comet"] = score.value
            content["signatures"]["comet"] = score.signature
        return DirectionScore.model_validate(content)

    def result(self) -> DirectionResult:
        """What `results.json` has of it; further scores in the order of the registry."""
        known = {name: self.others[name] for name in METRICS if name in self.others}
        return DirectionResult(bleu=self.bleu, chrf=self.chrf, **self.facts, **known | self.others)


def mean_score(scores: Sequence[DirectionScore]) -> DirectionScore:
    """One direction over several trainings: the means of its scores; counts and signatures are those of the first."""
    columns = {name: [score.get(name) for score in scores] for name in (*MAIN_SCORES, *scores[0].others)}
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    means = {name: fmean(values) for name, values in known.items() if len(values) == len(scores)}
    return DirectionScore.model_validate(scores[0].model_dump(by_alias=True) | means)


ArmScores = dict[str, DirectionScore]


class ScoresFile(BaseModel):
    """`scores.json` of an arm: the scores by direction, and a fingerprint of what the translations were made from.

    `products` is what matrix products were computed in, where that isn't the type of the weights.
    """

    model_config = ConfigDict(extra="forbid")
    made_from: str
    products: str | None = None
    scores: ArmScores


class Results(BaseModel):
    """The content of `results.json`.

    Args:
        arms: scores by arm, in the order of the tables, and direction.
        signatures: what exactly was computed, by score and direction.
        scales: what the numbers of each score mean.
        environment: versions and machine.
        recipe, seed: of the run.
        pivot: the language in the middle.
        tiers: the languages of each resource tier.
        families: by language.
        directions: that were to be evaluated; version 0.1 of the file may lack them.
        zero_shot: those of them that weren't trained.
        adapted: those that arms were trained on, in an adaptation; empty where they were trained on all.
        skipped: scores that weren't computed, or not into some languages, and why.
        references: whether they were scored as read or, in runs that version 0.1 prepared, cleaned.
        overlap: by direction, how many test sentences are in the training text (`Overlap`).
        significance: tests of the differences between arms.
        pretrained: name, revision and SHA-256 of the checkpoint that the run started from.
        arithmetic: by arm, what it was held, trained and evaluated in; `copy`, and runs from before, have none.
        others: what sweeps and benchmarks add.
    """

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    arms: dict[str, dict[str, DirectionResult]]
    signatures: dict[str, dict[str, str]]
    scales: dict[str, str] = {}
    environment: dict[str, Any]
    recipe: str = ""
    seed: int | None = None
    pivot: str | None
    tiers: dict[str, list[str]]
    families: dict[str, str]
    directions: list[str] = []
    zero_shot: list[str] = []
    adapted: list[str] = []
    skipped: dict[str, str] = {}
    references: Literal["as read", "cleaned"] = "cleaned"
    pretrained: dict[str, str] | None = None
    arithmetic: dict[str, Arithmetic] = {}
    overlap: dict[str, dict[str, int]] = {}
    significance: Significance | None = None

    @property
    def title(self) -> str:
        """What they are shown as: the name of the experiment."""
        return self.recipe

    def __repr__(self) -> str:
        names = {name for scores in self.arms.values() for name in scores}
        return f"{type(self).__name__}({self.title or 'no name'}: {', '.join(self.arms)}; {len(names)} directions)"

    def _repr_html_(self) -> str:
        """For notebooks: one row per arm, means over the trained directions."""
        scored = {name for scores in self.arms.values() for name in scores}
        names = sorted((scored | set(self.directions)) - set(self.zero_shot))
        rows: list[list[str]] = [
            [arm, *(average(scores, names, score).show(digits_of(score)) for score in MAIN_SCORES)]
            for arm, scores in self.arms.items()
        ]
        heads = ["arm", *map(label_of, MAIN_SCORES)]
        return Table(f"{self.title or 'results'}: mean of {len(names)} directions", heads, rows)._repr_html_()

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, content: Any) -> Any:
        """Results from before version 0.2 have other tests."""
        if not isinstance(content, dict) or not isinstance(content.get("significance"), dict):
            return content
        try:
            return content | {"significance": upgraded(content["significance"])}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"significance of an older version is damaged: {error!r}") from None

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read `results.json`.

        Raises:
            EvaluationError: it is missing or damaged.
            RunError: it isn't what its run made.
        """
        verify(path)
        if not path.exists():
            raise EvaluationError(f"{path} is missing; run 'neuronspec evaluate RUN' first")
        return read_json(path, cls, "remove it and run 'neuronspec evaluate RUN'", error=EvaluationError)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as in the file."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def difference(self, arm: str, other: str, metric: str, direction: str) -> DirectionTest | None:
        """The test of one arm against another in a direction; None if there is none."""
        return self.significance.difference(arm, other, metric, direction) if self.significance else None


def read_scores(folder: Path, made_from: str | None = None) -> ArmScores:
    """The scores of an arm by direction, from its evaluation folder; empty if none is finished.

    Args:
        folder: `RUN/evaluation/ARM`.
        made_from: a fingerprint; scores that were made from something else don't count.

    Raises:
        EvaluationError: the file is damaged.
    """
    content = read_scores_file(folder)
    return content.scores if content and made_from in (None, content.made_from) else {}


def read_scores_file(folder: Path) -> ScoresFile | None:
    """`scores.json` of an arm, as it is; None if there is none.

    Raises:
        EvaluationError: the file is damaged.
    """
    path = folder / "scores.json"
    if not path.exists():
        return None
    return read_json(path, ScoresFile, "remove it and evaluate again", error=EvaluationError)


def write_scores(folder: Path, scores: ArmScores, made_from: str, products: str | None = None) -> None:
    """Write `scores.json`, see `ScoresFile`, of an arm to its evaluation folder."""
    content = ScoresFile(made_from=made_from, products=products, scores=dict(sorted(scores.items())))
    own = {"products"} if products is None else None
    write_json(folder / "scores.json", content.model_dump(mode="json", by_alias=True, exclude=own))


Written = TypeVar("Written", bound=Results)


def products_in(folder: Path) -> str | None:
    """What an arm's evaluation computed products in, where that isn't the type of the weights."""
    content = read_scores_file(folder)
    return None if content is None else content.products


def write_results(
    path: Path,
    arms: Mapping[str, ArmScores],
    facts: Mapping[str, Any],
    kind: type[Written] = Results,  # type: ignore[assignment]
) -> Written:
    """Write `results.json`.

    Args:
        path: `RUN/results.json`.
        arms: scores by arm, in the order of the tables.
        facts: the other fields of `kind`, and entries of one's own.
        kind: which class of results.

    Returns:
        What was written.
    """
    results = kind.model_validate(
        {
            "arms": {arm: {name: score.result() for name, score in scores.items()} for arm, scores in arms.items()},
            "signatures": _signatures(arms.values()),
            "scales": scales(),
            "environment": environment(),
            **facts,
        }
    )
    write_json(path, results.to_json())
    return results


def _signatures(arms: Iterable[ArmScores]) -> dict[str, dict[str, str]]:
    """By metric and direction."""
    signatures: dict[str, dict[str, str]] = {"bleu": {}, "chrf++": {}}
    for scores in arms:
        for direction, score in scores.items():
            for metric, signature in score.signatures.items():
                signatures.setdefault(metric, {})[direction] = signature
    return signatures
