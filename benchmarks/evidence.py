"""Take over the results of the sweeps that compare specialization with everything else.

    neuronspec sweep recipes/sweeps/bible-cpu-tuning.yaml --out sweeps/tuning --base runs/bible --set corpus.train=...
    neuronspec sweep recipes/sweeps/bible-cpu.yaml --out sweeps/bible --base runs/bible --set corpus.train=...
    neuronspec sweep recipes/sweeps/bible-cpu-long.yaml --out sweeps/long --base runs/bible --set corpus.train=...
    python benchmarks/evidence.py runs/bible sweeps/bible --tuning sweeps/tuning --long sweeps/long

writes `benchmarks/results/bible_cpu.json`: the sweep's `results.json`, validation curves, the tuning, the longer
training, and on which machine and from which commit. `make docs` makes the page of it. Without arguments (as
`make bench` calls it) it only says so, since the sweeps take hours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from machine import RESULTS, describe_machine
from neuronspec.core.files import write_json
from neuronspec.training.log import read_log


def evidence(base: Path, sweep: Path, tuning: Path | None, long: Path | None) -> dict[str, Any]:
    """The content of the result file."""
    content = results_of(sweep)
    content["base"] = _validations(base / "base")
    if tuning is not None:
        content["tuning"] = {
            name: {"changes": entry["changes"], "validation": entry["validation"]["mean"]}
            for name, entry in results_of(tuning)["entries"].items()
        }
    if long is not None:
        content["long"] = results_of(long)
    return {"evidence": content["sweep"], "machine": describe_machine(), "commit": commit(), **content}


def commit() -> str:
    """The commit that is checked out."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def results_of(sweep: Path) -> dict[str, Any]:
    """A sweep's results with the validation losses of its trainings, and without paths."""
    content: dict[str, Any] = json.loads((sweep / "results.json").read_text(encoding="utf-8"))
    del content["recipe"]
    for name, entry in content["entries"].items():
        paths = ("corpus.", "model.pretrained")
        entry["changes"] = {key: value for key, value in entry["changes"].items() if not key.startswith(paths)}
        places = [(sweep / "cells" / name).glob(f"**/seed-{seed}/arms/{entry['arm']}") for seed in entry["seeds"]]
        folders = [folder for found in places for folder in sorted(found)]
        entry["curve"] = _mean_curve([_validations(folder) for folder in folders])
    return content


def _validations(folder: Path) -> list[dict[str, float]]:
    """Update, seconds and loss of each validation; empty for an arm with a model a direction."""
    path = folder / "log.jsonl"
    lines = read_log(path) if path.exists() else []
    return [{key: line[key] for key in ("update", "seconds", "loss")} for line in lines if line["kind"] == "validation"]


def _mean_curve(curves: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    return [
        {"update": lines[0]["update"], "loss": fmean(line["loss"] for line in lines)}
        for lines in zip(*curves, strict=True)
    ]


def main() -> None:
    """Write the result file."""
    if len(sys.argv) < 2:
        print("give the run of the baseline and the sweep: python benchmarks/evidence.py RUN SWEEP")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--tuning", type=Path)
    parser.add_argument("--long", type=Path)
    given = parser.parse_args()
    content = evidence(given.base, given.sweep, given.tuning, given.long)
    write_json(RESULTS / f"{content['evidence'].replace('-', '_')}.json", content)


if __name__ == "__main__":
    main()
