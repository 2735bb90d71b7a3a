"""Scores of arms: what was measured, written to `scores.json` of each arm and gathered in `RUN/results.json`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuronspec.errors import EvaluationError
from neuronspec.files import write_json

_PACKAGES = ("neuronspec", "torch", "transformers", "sacrebleu")


class DirectionScore(BaseModel):
    """What one arm reached in one direction.

    Args:
        bleu, chrf: 0 to 100; chrF++ is `chrf++` in files.
        loss: nats a target token under teacher forcing; None where there is no model (`copy`).
        n: sentences.
        truncated: sources that were cut to what the model reads.
        signatures: of sacreBLEU, by metric.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, allow_inf_nan=False)
    bleu: float
    chrf: float = Field(alias="chrf++")
    loss: float | None
    n: int = Field(gt=0)
    truncated: int = 0
    signatures: dict[str, str]


ArmScores = dict[str, DirectionScore]


class _ScoresFile(BaseModel):
    """`scores.json` of an arm: the scores by direction, and a fingerprint of what they were made from."""

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
    path = folder / "scores.json"
    if not path.exists():
        return {}
    try:
        content = _ScoresFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise EvaluationError(f"{path} is damaged ({_first(error)}); remove it and evaluate again") from None
    return content.scores if made_from in (None, content.made_from) else {}


def write_scores(folder: Path, scores: ArmScores, made_from: str) -> None:
    """Write an arm's scores by direction to its evaluation folder, with a fingerprint of what they were made from."""
    content = _ScoresFile(made_from=made_from, scores=dict(sorted(scores.items())))
    write_json(folder / "scores.json", content.model_dump(mode="json", by_alias=True))


def write_results(path: Path, arms: Mapping[str, ArmScores], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write `results.json` and return its content.

    Args:
        path: `RUN/results.json`.
        arms: scores by arm, in the order of the tables.
        facts: further top-level entries, such as tiers, as plain JSON values.
    """
    kept = {"bleu", "chrf", "loss", "n", "truncated"}
    content = {
        "arms": {
            arm: {name: score.model_dump(by_alias=True, include=kept) for name, score in scores.items()}
            for arm, scores in arms.items()
        },
        "signatures": _signatures(arms.values()),
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
                signatures[metric][direction] = signature
    return signatures


def environment() -> dict[str, Any]:
    """The versions and the machine that numbers were made with."""
    import torch

    return {
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in _PACKAGES},
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
