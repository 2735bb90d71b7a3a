"""Scores of arms: what was measured, written to `scores.json` of each arm and gathered in `RUN/results.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuronspec.core.environment import environment
from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_json
from neuronspec.scoring.score import Score, scales


MAIN_SCORES = ("bleu", "chrf++", "loss")
"""The scores that every arm has, in the order of the main tables; `copy` has no loss."""


class DirectionScore(BaseModel):
    """What one arm reached in one direction.

    Args:
        bleu, chrf: 0 to 100; chrF++ is `chrf++` in files.
        loss: nats a target token under teacher forcing; None where there is no model (`copy`).
        n: sentences.
        truncated: sources that were cut to what the model reads.
        ter, spbleu, comet, off_target, off_target_reference, length_ratio, empty: as the metrics say; None where
            they weren't computed.
        signatures: what exactly was computed, by score.
        scored_from, comet_from: fingerprints of the text and the settings.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, allow_inf_nan=False)
    bleu: float
    chrf: float = Field(alias="chrf++")
    loss: float | None
    n: int = Field(gt=0)
    truncated: int = 0
    ter: float | None = None
    spbleu: float | None = None
    comet: float | None = None
    off_target: float | None = None
    off_target_reference: float | None = None
    length_ratio: float | None = None
    empty: int | None = None
    signatures: dict[str, str]
    scored_from: str = ""
    comet_from: str = ""

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
        signatures = {name: text for name, text in self.signatures.items() if name != "comet"}
        signatures |= {"comet": score.signature} if score else {}
        changes = {"comet": score.value if score else None, "comet_from": comet_from, "signatures": signatures}
        return self.model_copy(update=changes)


ArmScores = dict[str, DirectionScore]


class ScoresFile(BaseModel):
    """`scores.json` of an arm: the scores by direction, and a fingerprint of what the translations were made from."""

    model_config = ConfigDict(extra="forbid")
    made_from: str
    scores: ArmScores


class _ResultsFile(BaseModel):
    """What `results.json` holds at least."""

    class Cell(BaseModel):
        model_config = ConfigDict(allow_inf_nan=False)
        bleu: float | None
        chrf: float | None = Field(alias="chrf++")
        loss: float | None
        n: int

    arms: dict[str, dict[str, Cell]]
    signatures: dict[str, dict[str, str]]
    environment: dict[str, Any]
    pivot: str | None
    tiers: dict[str, list[str]]
    families: dict[str, str]


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
    try:
        return ScoresFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise EvaluationError(f"{path} is damaged ({_first(error)}); remove it and evaluate again") from None


def write_scores(folder: Path, scores: ArmScores, made_from: str) -> None:
    """Write an arm's scores by direction to its evaluation folder, with a fingerprint of what they were made from."""
    content = ScoresFile(made_from=made_from, scores=dict(sorted(scores.items())))
    write_json(folder / "scores.json", content.model_dump(mode="json", by_alias=True))


def write_results(path: Path, arms: Mapping[str, ArmScores], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write `results.json` and return its content.

    Args:
        path: `RUN/results.json`.
        arms: scores by arm, in the order of the tables.
        facts: further top-level entries, such as tiers, as plain JSON values.
    """
    always, internal = {"bleu", "chrf++", "loss", "n", "truncated"}, {"signatures", "scored_from", "comet_from"}
    cells = {
        arm: {name: score.model_dump(by_alias=True, exclude=internal) for name, score in scores.items()}
        for arm, scores in arms.items()
    }
    content = {
        "arms": {
            arm: {
                name: {key: value for key, value in cell.items() if key in always or value is not None}
                for name, cell in scores.items()
            }
            for arm, scores in cells.items()
        },
        "signatures": _signatures(arms.values()),
        "scales": scales(),
        "environment": environment(),
        **facts,
    }
    write_json(path, content)
    return content


def read_results(path: Path) -> dict[str, Any]:
    """Read `results.json`.

    Raises:
        EvaluationError: it is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _ResultsFile.model_validate_json(text)
    except OSError as error:
        raise EvaluationError(f"{path} can't be read ({error.strerror}); run 'neuronspec evaluate RUN' first") from None
    except (UnicodeDecodeError, ValidationError) as error:
        reason = _first(error) if isinstance(error, ValidationError) else error
        raise EvaluationError(f"{path} is damaged ({reason}); remove it and run 'neuronspec evaluate RUN'") from None
    return dict(json.loads(text))


def _first(error: ValidationError) -> str:
    """The first mistake: where it is, and what."""
    first = error.errors()[0]
    where = " > ".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


def _signatures(arms: Iterable[ArmScores]) -> dict[str, dict[str, str]]:
    """By metric and direction."""
    signatures: dict[str, dict[str, str]] = {"bleu": {}, "chrf++": {}}
    for scores in arms:
        for direction, score in scores.items():
            for metric, signature in score.signatures.items():
                signatures.setdefault(metric, {})[direction] = signature
    return signatures
