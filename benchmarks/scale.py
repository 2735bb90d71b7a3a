"""What a corpus costs by its size: preparing it, opening it, planning an epoch, loading batches.

    python benchmarks/scale.py [--sizes 100000 1000000] [--quick] [--folder FOLDER]

Writes `results/scale.json` and `docs/images/scale.svg`. Each size is measured alone and merged into what the file has
of other sizes (on the same machine), so 10 million pairs can be measured on another day: `--sizes 10000000`. Text is
written to FOLDER/neuronspec-scale-SIZE, which is deleted afterwards; text that is there already is used.

`scale_readers.py` measures each reader. For each size, in processes of their own one after another:

- prepare: `prepare` on synthetic line-aligned text in two languages (`scale_text.py`), default recipe. Seconds of its
  passes, and the peak of the resident memory of the process and its workers together, sampled ten times a second
  (pages that they share count in each).
- tokenizer: the bare tokenizer's rate: `encode_batch_fast` of the same tokenizer on the same training text, all cores,
  16,384 texts a call, nothing but the calls timed (not reading, not taking the ids out). The first million pairs.
- ratio: texts a second of prepare's two passes over the text (reading, cleaning, splitting and storing it; tokenizing,
  filtering and writing it) over that rate. Training the tokenizer reads a sample of a fixed size and isn't part of it;
  `ratio with everything` counts the whole command, with imports and the tokenizer's training.
- plan: seconds to open the store, to read all lengths, and to plan an epoch of each direction; each pair exactly once.
- load: target tokens a second of `TrainingBatches` (one process, no prefetch), and those of a training on the same
  store (preset tiny, all cores), by its log.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

SAMPLED_PAIRS = 1_000_000
TEXTS = 16_384
BATCH_TOKENS = 4096
VOCABULARY = 16_000


def step_prepare(folder: Path) -> dict[str, Any]:
    from neuronspec.corpus.prepare import prepare
    from neuronspec.recipe import Recipe

    budget = {"updates": 1}
    train = {"reader": "moses", "path": str(folder / "text" / "train.{lang}")}
    corpus: dict[str, Any] = {"train": train, "languages": ["de"]}
    corpus |= {"valid_share": 0.001, "test_share": 0.001}
    recipe = Recipe.model_validate(
        {"name": "scale", "corpus": corpus, "tokenizer": {"vocabulary": VOCABULARY}}
        | {"training": budget, "continuation": budget}
    )
    seconds = prepare(recipe.corpus, recipe.tokenizer, folder / "data", seed=recipe.seed)
    report = json.loads((folder / "data" / "corpus.json").read_text(encoding="utf-8"))
    train = report["splits"]["train"]["en-de"]
    return {
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "rows": report["rows"],
        "dropped": train["dropped"],
        "training tokens": train["source_tokens"] + train["target_tokens"],
        "sampled sentences": report["tokenizer"]["sentences"],
        "bytes": {
            "text": sum(path.stat().st_size for path in (folder / "text").iterdir()),
            "store": sum(path.stat().st_size for path in (folder / "data" / "tokens").iterdir()),
        },
    }


def step_tokenizer(folder: Path) -> dict[str, Any]:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / "data" / "tokenizer" / "tokenizer.json"))
    texts = seconds = 0
    for code in ("en", "de"):
        with (folder / "text" / f"train.{code}").open(encoding="utf-8") as file:
            lines = islice(file, SAMPLED_PAIRS)
            while block := [line.rstrip("\n") for line in islice(lines, TEXTS)]:
                started = time.perf_counter()
                encodings = backend.encode_batch_fast(block, add_special_tokens=False)
                seconds += time.perf_counter() - started
                texts += len(encodings)
    return {"texts": texts, "seconds": round(seconds, 2), "texts per second": round(texts / seconds)}


def step_plan(folder: Path) -> dict[str, Any]:
    import numpy as np

    from neuronspec.batching.plan import plan_epoch
    from neuronspec.corpus.store import TokenStore

    memory = {"after imports": _own_peak()}
    opening, both = _timed(lambda: _training_pairs(TokenStore.open(folder / "data")))
    reading, _ = _timed(lambda: [(pairs.source_lengths, pairs.target_lengths) for pairs in both])

    def plan() -> list[Any]:
        return [
            plan_epoch(
                pairs.source_lengths, pairs.target_lengths, batch_tokens=BATCH_TOKENS, seed=1, epoch=0,
                direction=pairs.direction,
            )
            for pairs in both
        ]  # fmt: skip

    planning, plans = _timed(plan)
    memory["after planning"] = _own_peak()
    for pairs, planned in zip(both, plans, strict=True):
        assert np.array_equal(np.sort(planned.order), np.arange(len(pairs))), "each pair exactly once"
    return {
        "opening seconds": round(opening, 3),
        "reading lengths seconds": round(reading, 3),
        "planning seconds": round(planning, 2),
        "directions": len(both),
        "batches": sum(map(len, plans)),
        "peak memory MB": memory,
    }


def _training_pairs(store: Any) -> list[Any]:
    return [store.pairs("train", direction) for direction in store.directions("train")]


def step_load(folder: Path) -> dict[str, Any]:

    from neuronspec.batching.stream import TrainingBatches
    from neuronspec.corpus.store import TokenStore
    from neuronspec.models.load import build_model
    from neuronspec.models.settings import ModelSettings
    from neuronspec.models.text_format import TextFormat
    from neuronspec.training.log import read_log
    from neuronspec.training.settings import TrainingSettings
    from neuronspec.training.train import train

    store = TokenStore.open(folder / "data")
    directions = store.directions("train")
    text_format = TextFormat.of(store.tokenizer, directions)
    batches = TrainingBatches(
        store, directions, text_format, TrainingSettings(updates=1, batch_tokens=BATCH_TOKENS, temperature=1), 1
    )
    first, _ = _timed(lambda: list(islice(batches, len(directions) * 8)))  # plans the epoch of each direction
    loading, loaded = _timed(lambda: [one.batch.inputs["labels"] for one in islice(batches, 400)])
    tokens = sum(int((labels != -100).sum()) for labels in loaded)
    settings = TrainingSettings(
        updates=12, batch_tokens=BATCH_TOKENS, warmup=10, validate_every=12, validation_sentences=2, save_every=12
    )
    model = build_model(ModelSettings(preset="tiny"), store.tokenizer, seed=1)
    train(
        model, store.tokenizer, store, settings, directions=directions, seed=1, folder=folder / "base",
    )  # fmt: skip
    rates = [line["target_tokens_per_second"] for line in read_log(folder / "base" / "log.jsonl") if "nll" in line]
    training = statistics.median(rates)
    return {
        "first batches seconds": round(first, 2),
        "loader target tokens per second": round(tokens / loading),
        "training target tokens per second": round(training),
        "loader / training": round(tokens / loading / training, 1),
    }


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare": step_prepare,
    "tokenizer": step_tokenizer,
    "plan": step_plan,
    "load": step_load,
}


def measure(pairs: int, folder: Path) -> dict[str, Any]:
    """All steps for one size."""
    from scale_text import write_text

    if not (folder / "text").exists():
        print(f"writing {pairs:,} pairs to {folder}", flush=True)
        write_text(folder / "text.new", pairs)
        (folder / "text.new").rename(folder / "text")
    result: dict[str, Any] = {"pairs": pairs}
    for name in STEPS:
        load = os.getloadavg()[0]  # of what else runs on the machine
        command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
        result[name] = run_step(name, command) | {"load average before": round(load, 2)}
        print(name, json.dumps(result[name]), flush=True)
    passes = result["prepare"]["seconds"]
    seconds = passes["reading"] + passes["tokenizing"]
    bare = result["tokenizer"]["texts per second"]
    result["texts per second"] = round(2 * pairs / seconds)
    result["ratio"] = round(2 * pairs / seconds / bare, 3)
    result["ratio with everything"] = round(2 * pairs / result["prepare"]["wall seconds"] / bare, 3)
    return result


def run_step(name: str, command: list[str]) -> dict[str, Any]:
    """Run a step in a process of its own, and watch its memory; the last line that it prints is its result."""
    import psutil

    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        process, peak, most = psutil.Process(child.pid), 0, 0
        while child.poll() is None:
            sizes = [_resident(one) for one in _family(process)]
            peak, most = max(peak, sum(sizes)), max(most, *sizes)
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        assert child.stdout is not None
        output = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"step {name} failed with {child.returncode}")
    peaks = {"peak memory of all processes MB": peak >> 20, "peak memory of the largest process MB": most >> 20}
    return json.loads(output.splitlines()[-1]) | {"wall seconds": round(seconds, 2)} | peaks


def _family(process: Any) -> list[Any]:
    import psutil

    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return [process]


def _resident(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _own_peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000], help="sentence pairs")
    parser.add_argument("--quick", action="store_true", help="10,000 and 50,000 pairs; results are only printed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where a folder is made")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder)))
        return
    from machine import describe_machine, write_result
    from scale_plot import plot

    results = Path(__file__).parent / "results" / "scale.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() and not options.quick else {}
    sizes = known.get("sizes", {}) if known.get("machine") == describe_machine() else {}
    for pairs in [10_000, 50_000] if options.quick else options.sizes:
        folder = options.folder / f"neuronspec-scale-{pairs}"
        try:
            sizes[str(pairs)] = measure(pairs, folder)
        finally:
            shutil.rmtree(folder)
        if not options.quick:
            ordered = dict(sorted(sizes.items(), key=lambda item: int(item[0])))
            write_result("scale", {"sizes": ordered})
            plot(ordered)


if __name__ == "__main__":
    main()
