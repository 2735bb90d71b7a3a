"""What the stages of a run cost on this machine: five runs of different shapes, for the cost model of docs/costs.md.

    python benchmarks/costs.py [--runs DIR] [--quick]

Each is a run of `recipes/demo.yaml` with other sizes, by the command line, in turn; a second call continues.
Written are the seconds of each stage and what they depend on: parameters, tokens, updates, beam. The cost model's
constants come from the first three runs; it is checked against the other two. Run it alone on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from machine import write_result
from training_speed import ceiling

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"
FIT, CHECKED = ("small", "deep", "wide"), ("middle", "narrow")
LANGUAGES = ["de", "nl", "fr", "pt_BR", "ru", "uk"]


def settings(name: str) -> dict[str, Any]:
    """The keys of the recipe that a run changes."""
    width, ffn, layers, vocabulary, tokens, updates, languages, beam = {
        "small": (128, 512, 2, 3000, 1024, 300, 6, 5),
        "deep": (256, 1024, 4, 8000, 1024, 60, 3, 1),
        "wide": (256, 4096, 2, 2000, 2048, 60, 4, 4),
        "middle": (384, 1536, 3, 6000, 1024, 60, 3, 3),
        "narrow": (192, 2048, 3, 4000, 1536, 80, 5, 2),
        "quick": (32, 64, 1, 400, 256, 4, 1, 1),
    }[name]
    return {
        "corpus.languages": LANGUAGES[:languages], "tokenizer.vocabulary": vocabulary,
        "model.d_model": width, "model.encoder_ffn_dim": ffn, "model.decoder_ffn_dim": ffn,
        "model.encoder_layers": layers, "model.decoder_layers": layers,
        "training.batch_tokens": tokens, "training.updates": updates, "training.warmup": updates // 2,
        "training.validate_every": updates, "training.save_every": updates,
        "continuation.batch_tokens": tokens, "continuation.updates": updates // 2, "continuation.warmup": 2,
        "continuation.validate_every": updates // 2, "continuation.save_every": updates // 2,
        "evaluation.beam": beam,
    }  # fmt: skip


def run(name: str, folder: Path) -> dict[str, Any]:
    """Run the recipe, or what is left of it; and say what came of it."""
    changes = [f"--set={key}={json.dumps(value)}" for key, value in settings(name).items()]
    subprocess.run([sys.executable, "-m", "neuronspec", "run", str(RECIPE), "--out", str(folder), *changes], check=True)
    return facts(folder) | {"changed": settings(name)}


def facts(folder: Path) -> dict[str, Any]:
    """Seconds of each stage, and what they depend on."""
    corpus, results = _json(folder / "data" / "corpus.json"), _json(folder / "results.json")
    config = _json(folder / "base" / "config.json")
    log = [json.loads(line) for line in (folder / "base" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    start, end = (next(line for line in log if line["kind"] == kind) for kind in ("start", "end"))
    tasks = _json(folder / "stages.json")["tasks"]
    costs = {path.parent.name: _json(path) for path in sorted(folder.glob("arms/*/cost.json"))}
    kept = corpus["splits"]["train"].values()
    return {
        "config": {name: value for name, value in config.items() if isinstance(value, int)} | {"model_type": "m2m_100"},
        "parameters": start["parameters"],
        "precision": start["precision"],
        "directions": len(results["directions"]),
        "arms": len(results["arms"]) - 1,  # without the copy of the source
        "sentences": sum(scores["n"] for scores in results["arms"]["base"].values()),
        "tokens of a sentence": sum(cell["target_tokens"] for cell in kept) / sum(cell["kept"] for cell in kept),
        "updates": end["update"],
        "target tokens": end["target_tokens"] / end["update"],
        "padding": end["padding"],
        "seconds": {name: task["seconds"] for name, task in tasks.items()},
        "update seconds": {name: cost["update_seconds"] for name, cost in costs.items()},
    }


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Run all, and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="keeps the run folders")
    parser.add_argument("--quick", action="store_true", help="one tiny run, and no result file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.runs or Path(scratch)
        if given.quick:
            print(json.dumps(run("quick", folder / "quick")))
            return
        rate = ceiling(torch.float32)
        runs = {name: run(name, folder / name) for name in (*FIT, *CHECKED)}
        rates = {"float32": max(rate, ceiling(torch.float32)), "bf16": ceiling(torch.bfloat16)}
    write_result("costs", {"ceiling, FLOP/s": rates, "fit": FIT, "checked": CHECKED, "runs": runs})


if __name__ == "__main__":
    main()
