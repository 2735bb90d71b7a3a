"""Take over the results of the sweeps that compare specialization with everything else.

    neuronspec sweep recipes/sweeps/bible-cpu-tuning.yaml --out sweeps/tuning --processes 2 --set corpus.train=...
    neuronspec sweep recipes/sweeps/bible-cpu.yaml --out sweeps/bible --processes 2 --set corpus.train=...
    python benchmarks/evidence.py sweeps/bible sweeps/tuning

writes `benchmarks/results/bible_cpu.json`: the sweep's `results.json`, the baseline's validation curve, the tuning, and
on which machine and from which commit. `docs/generate_results.py` makes the page of it. Without arguments (as
`make bench` calls it) it only says so, since the sweeps take an hour.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import RESULTS, describe_machine
from neuronspec.files import write_json
from neuronspec.training import read_log


def evidence(sweep: Path, tuning: Path | None) -> dict[str, Any]:
    """The content of the result file."""
    content = _without_paths(json.loads((sweep / "results.json").read_text(encoding="utf-8")))
    (base,) = sweep.glob("shared/train-*/base")
    content["base"] = [
        {key: line[key] for key in ("update", "seconds", "loss")}
        for line in read_log(base / "log.jsonl")
        if line["kind"] == "validation"
    ]
    if tuning is not None:
        tuned = json.loads((tuning / "results.json").read_text(encoding="utf-8"))
        content["tuning"] = {
            name: {"changes": _plain(entry["changes"]), "validation": entry["validation"]["mean"]}
            for name, entry in tuned["entries"].items()
        }
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    return {"evidence": content["sweep"], "machine": describe_machine(), "commit": commit.strip(), **content}


def _without_paths(content: dict[str, Any]) -> dict[str, Any]:
    del content["recipe"]
    for entry in content["entries"].values():
        entry["changes"] = _plain(entry["changes"])
    return content


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if not key.startswith("corpus.")}


def main() -> None:
    """Write the result file."""
    if len(sys.argv) < 2:
        print("give the folder of the sweep, and that of the tuning: python benchmarks/evidence.py SWEEP [TUNING]")
        return
    folders = [Path(argument) for argument in sys.argv[1:]]
    content = evidence(folders[0], folders[1] if len(folders) > 1 else None)
    write_json(RESULTS / f"{content['evidence'].replace('-', '_')}.json", content)


if __name__ == "__main__":
    main()
