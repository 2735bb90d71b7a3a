"""The steps `bible-base` and `bible-arms` of `steps.py`; see there."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gpu.files import arguments, write
from neuronspec.core.run_folder import TRAINING_LOG, RunFolder

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "bible-gpu.yaml"
SIZES = {
    "training.updates": 5000,
    "training.warmup": 1000,
    "continuation.updates": 600,
    "evaluation.max_sentences": 50,
}
"""What makes each step last a few minutes on an H100, where an update of this model takes about 0.1 s."""
STAGES = {"bible-base": ("prepare", "train"), "bible-arms": ("record", "select", "specialize", "evaluate")}
SECONDS_TO_SAVE = 25


def settings(recipe: Path | None, text: Path | None) -> list[str]:
    """The options `--set` of `neuronspec run`."""
    given: dict[str, Any] = {} if recipe else dict(SIZES)
    for split in ("train", "valid", "test") if text else ():
        (given[f"corpus.{split}"],) = sorted(text.glob(f"{split}.tsv*"))
    return [part for name, value in given.items() for part in ("--set", f"{name}={value}")]


def run(command: list[str], end: float) -> int:
    """Run a command, which is told to save and leave at the end of the time."""
    process = subprocess.Popen(command)
    try:
        return process.wait(max(end - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.wait(SECONDS_TO_SAVE) and 130


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []


def training_facts(log: Path) -> dict[str, Any]:
    """How far a training is, how fast, and its losses by update."""
    lines = lines_of(log)
    rates = [line["target_tokens_per_second"] for line in lines if line["kind"] == "training"]
    return {
        "update": max((line["update"] for line in lines), default=0),
        "seconds": round(max((line["seconds"] for line in lines), default=0)),
        "target tokens/s": round(statistics.median(rates)) if rates else None,
        "validation loss": {line["update"]: round(line["loss"], 4) for line in lines if line["kind"] == "validation"},
    }


def scores(folder: RunFolder) -> dict[str, Any]:
    """By arm, the mean over directions of each score."""
    if not folder.results.is_file():
        return {}
    arms = json.loads(folder.results.read_text(encoding="utf-8"))["arms"]
    return {
        arm: {
            name: round(statistics.mean(one[name] for one in by.values()), 3)
            for name in ("bleu", "chrf++", "loss")
            if by and all(isinstance(one.get(name), (int, float)) for one in by.values())
        }
        for arm, by in arms.items()
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--recipe", type=Path)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds - SECONDS_TO_SAVE
    recipe, folder = options.recipe or RECIPE, RunFolder(options.run)
    if options.step == "bible-arms" and not folder.base.is_dir():
        raise SystemExit(f"there is no baseline in {options.run}: the step `bible-base` trains it")
    given = settings(options.recipe, options.text)
    command = [sys.executable, "-m", "neuronspec", "run", str(recipe), "--out", str(options.run), *given]
    result: dict[str, Any] = {"recipe": recipe.name, "settings": given[1::2]}
    code = 0
    for stage in STAGES[options.step]:
        code = run([*command, "--stage", stage], end)
        if code:
            break
    logs = {"base": folder.base / TRAINING_LOG}
    if options.step == "bible-arms":
        logs = {log.parent.name: log for log in sorted(folder.arms.glob(f"*/{TRAINING_LOG}"))}
        result["means over directions"] = scores(folder)
    result["trainings"] = {name: training_facts(log) for name, log in logs.items()}
    write(options.result, result, complete=code == 0)
    sys.exit(0 if code == 130 else code)


if __name__ == "__main__":
    main()
