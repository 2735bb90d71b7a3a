"""Two languages added to a finished run, against training them from scratch for the same time.

    python benchmarks/new_languages.py runs/messages [--minutes 2] [--out FOLDER]

The base of `recipes/messages.yaml` (English and 12 languages) gets tags for Norwegian Bokmål and Galician, which
start as those of Danish and Brazilian Portuguese (`model.new_languages`), 1,000 pieces of the new text
(`model.extend_vocabulary`), and loses what their text doesn't need (`model.trim_vocabulary`). It is trained on the
two languages for some minutes. So is a new model of the same preset with a tokenizer of its own, on the same text.
The base as it is after the change, without training, is the third.

Splits depend on the English sentence and the seed alone, both as there, so that base has seen no sentence of the
test in any language. It has seen the English side of the training text with other translations: that is what
is carried over. Both are trained with the same learning rate and warm-up.

Writes `results/new_languages.json`: BLEU and chrF++ by direction, updates, sizes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from sacrebleu import corpus_bleu, corpus_chrf

from machine import write_result
from neuronspec.core.run_folder import RunFolder
from neuronspec.models.id_map import IdMap
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline
from neuronspec.training.log import read_log

NEW = {"nb": "da", "gl": "pt_BR"}
SCRATCH, CHANGED, AS_IT_IS = "from scratch", "from the demo's base", "the demo's base, untrained"


def recipe_of(demo: Recipe, model: dict[str, Any], training: dict[str, Any] | None) -> Recipe:
    """The demo's recipe for the new languages."""
    values = demo.model_dump(mode="json", exclude_none=True)
    values["corpus"] |= {"languages": list(NEW), "directions": "both"}
    values |= {"name": "new-languages", "model": model}
    if "pretrained" in model:
        del values["tokenizer"]
    if training is None:
        del values["training"]
    else:
        del values["training"]["updates"]
        values["training"] |= training
    return Recipe.model_validate(values)


def measure(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Run what gives the baseline and its translations; the scores."""
    Pipeline(recipe, folder).execute(names=["prepare", "train"])
    pipeline = Pipeline(recipe, folder)
    pipeline.execute(names=["evaluate/base"])
    run, scores = RunFolder(folder), {}
    for direction in recipe.evaluated_directions:
        hypotheses, references = (
            (run.evaluation("base") / f"{direction}.{kind}").read_text(encoding="utf-8").splitlines()
            for kind in ("hyp", "ref")
        )
        scores[str(direction)] = {
            "bleu": round(corpus_bleu(hypotheses, [references]).score, 2),
            "chrf++": round(corpus_chrf(hypotheses, [references], word_order=2).score, 2),
            "n": len(references),
        }
    means = {name: round(sum(each[name] for each in scores.values()) / len(scores), 2) for name in ("bleu", "chrf++")}
    log, change = read_log(run.training_log("base")), IdMap.load(run.base)
    facts = {} if change is None else {"vocabulary": change.facts()}
    return {"mean": means, "directions": scores, "updates": log[-1].get("update") if log else 0} | facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="new-languages-"))
    demo = Recipe.of_run(arguments.demo)
    budget = {"minutes": arguments.minutes, "validate_every": 100_000}
    changed = {
        "pretrained": str((arguments.demo / "base").resolve()),
        "new_languages": NEW,
        "extend_vocabulary": 1000,
        "trim_vocabulary": True,
    }
    rate = {"learning_rate": 4e-3, "warmup": 100}
    load = os.getloadavg()[0]
    found = {
        SCRATCH: measure(recipe_of(demo, {"preset": demo.model.preset}, budget | rate), out / "scratch"),
        CHANGED: measure(recipe_of(demo, changed, budget | rate), out / "changed"),
        AS_IT_IS: measure(recipe_of(demo, changed, None), out / "untrained"),
    }
    write_result(
        "new_languages",
        {"minutes": arguments.minutes, "new": NEW, "load_at_start": load, "load_at_end": os.getloadavg()[0]} | found,
    )


if __name__ == "__main__":
    main()
