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

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    bleu: float
    chrf: float = Field(alias="chrf++")
    loss: float | None
    n: int
    truncated: int = 0
    signatures: dict[str, str]


ArmScores = dict[str, DirectionScore]


def read_scores(folder: Path) -> ArmScores:
    """The scores of an arm by direction, from its evaluation folder; empty if none is finished.

    Raises:
        EvaluationError: the file is damaged.
    """
    path = folder / "scores.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {direction: DirectionScore.model_validate(score) for direction, score in content.items()}
    except (ValueError, AttributeError, ValidationError) as error:
        raise EvaluationError(f"{path} is damaged ({error}); remove it and evaluate again") from None


def write_scores(folder: Path, scores: ArmScores) -> None:
    """Write an arm's scores by direction to its evaluation folder."""
    write_json(
        folder / "scores.json", {name: score.model_dump(by_alias=True) for name, score in sorted(scores.items())}
    )


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
        content = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(content["arms"], dict)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise EvaluationError(f"{path} is missing or damaged ({error}); run 'neuronspec report RUN' again") from None
    return dict(content)


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
