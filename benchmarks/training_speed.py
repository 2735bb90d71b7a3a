"""Target tokens a second of neuronspec's training loop against other people's, taking turns on one machine.

    python benchmarks/training_speed.py [--size d256|d512|big] [--data RUN/data] [--eole PYTHON] [--quick]

All train the same pre-norm encoder-decoder Transformer with tied embeddings, dropout 0.1 and label smoothing 0.1 by
fused Adam with clipping, on the same pairs in the same pieces, in `--precision`, with about the same padded tokens of
the longer side in a batch. Each loop is a process of its own that works in its turn and sleeps otherwise
(`speed/turns.py`). A round is one turn of each, in an order that changes by round; ratios are taken within a round,
then the median over rounds. Only real target tokens count: no padding, no language tags.

- neuronspec: `neuronspec.training.train`.
- Seq2SeqTrainer: batches grouped by length, `adamw_torch_fused`; with `sdpa` and with `eager` attention. Its
  batch size is a number of sentences, chosen for the same padded tokens on average; its batches are put in random
  order, since it begins with the longest sentences.
- Eole (the successor of OpenNMT-py), where `--eole` names a Python that has it; see `speed/eole_worker.py` for what
  of the configuration it can't say.

The other loops get 4,000 pairs a direction, all that they group by length at a time. Rates are by wall time and by CPU
time of the process; the latter is disturbed less by other work on the machine.

The data is the demo corpus, unless `--data` names the data folder of another run (`neuronspec prepare`). Model
FLOP/s count six operations a weight and real token (`speed/shapes.py`) against the largest rate of a square
matrix product in that precision, measured in the same run. On a processor without instructions for bf16, measure
float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from machine import RESULTS, describe_machine, write_result
from neuronspec.corpus.store import TokenStore
from speed import shapes
from speed.turns import Turns, Worker

HERE = Path(__file__).resolve()
DEMO = HERE.parent.parent / "recipes" / "demo.yaml"
OURS, SEQ2SEQ = "neuronspec", "Seq2SeqTrainer"
WARM_UP = 2
SECONDS_OF_A_PRODUCT = 5


def commands(options: argparse.Namespace, data: Path, folder: Path) -> dict[str, list[str]]:
    """The command of each worker."""
    numbers = (options.batch_tokens, options.updates, options.threads, int(options.compile))
    common = [str(data), options.size, *map(str, numbers), options.precision]
    arms = (OURS, f"{SEQ2SEQ} sdpa", f"{SEQ2SEQ} eager")
    result = {
        arm: [sys.executable, str(HERE), "--worker", arm, str(folder / arm.replace(" ", "-")), *common] for arm in arms
    }
    if options.eole:
        script = HERE.parent / "speed" / "eole_worker.py"
        configuration = eole_configuration(options, data, folder / "eole")
        result["Eole"] = [options.eole, str(script), str(configuration), str(options.updates), str(options.threads)]
    return result


def eole_configuration(options: argparse.Namespace, data: Path, folder: Path) -> Path:
    from speed.eole_files import write_files

    store, model = TokenStore.open(data), shapes.SIZES[options.size]
    return write_files(store, model, options.batch_tokens, options.precision, folder)


def work(
    arm: str,
    folder: str,
    data: str,
    size: str,
    batch_tokens: str,
    updates: str,
    threads: str,
    compiled: str,
    precision: str,
) -> None:
    """What a worker's process does."""
    torch.set_num_threads(int(threads))
    turns = Turns(WARM_UP, int(updates), settle)
    if arm == OURS:
        from speed import ours

        ours.work(Path(data), size, int(batch_tokens), Path(folder), turns, compiled == "1", precision)
    else:
        from speed import seq2seq

        seq2seq.work(Path(data), size, int(batch_tokens), Path(folder), turns, arm.split()[1], precision)


def settle() -> int:
    """Wait for the GPU, if there is one; returns the peak of its memory in bytes."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def ceiling(dtype: torch.dtype) -> float:
    """The largest rate of a square matrix product, in FLOP/s.

    Of small ones alone where large ones would take minutes: some processors have no instructions for bf16.
    """
    edges, device = ((8192,), "cuda") if torch.cuda.is_available() else ((512, 3072), "cpu")
    highest = 0.0
    for edge in edges:
        if highest and 2 * edge**3 / highest > SECONDS_OF_A_PRODUCT:
            break
        a, b = (torch.randn(edge, edge, device=device).to(dtype) for _ in range(2))
        for _ in range(6):
            settle()
            start = time.perf_counter()
            torch.mm(a, b)
            settle()
            highest = max(highest, 2 * edge**3 / (time.perf_counter() - start))
    return highest


def measure(workers: list[Worker], rounds: int, minutes: float) -> dict[str, list[dict[str, float]]]:
    turns: dict[str, list[dict[str, float]]] = {worker.name: [] for worker in workers}
    end = time.monotonic() + 60 * minutes
    for number in range(rounds):
        if time.monotonic() > end:
            break
        first = number % len(workers)
        for worker in workers[first:] + workers[:first]:
            turns[worker.name].append(worker.turn())
            print(f"round {number + 1} {worker.name}: {turns[worker.name][-1]}", file=sys.stderr)
    return turns


def facts(turns: dict[str, list[dict[str, float]]], clock: str) -> dict[str, Any]:
    """Medians of the rates by the clock, and of the ratios within a round."""
    rates = {name: [turn["tokens"] / turn[clock] for turn in one] for name, one in turns.items()}
    return {
        "target tokens/s": {name: round(statistics.median(values)) for name, values in rates.items()},
        "neuronspec / other": {
            name: round(statistics.median(a / b for a, b in zip(rates[OURS], values, strict=True)), 3)
            for name, values in rates.items()
            if name != OURS
        },
    }


def target_share(store: TokenStore) -> tuple[float, int]:
    """Source tokens for each target token that counts (tags and `</s>` as the model sees them), and ids."""
    pairs = [store.pairs("train", direction) for direction in store.directions("train")]
    count = sum(len(one) for one in pairs)
    sources = sum(int(one.source_lengths.sum()) for one in pairs) + 2 * count
    return sources / (sum(int(one.target_lengths.sum()) for one in pairs) + count), len(store.tokenizer)


def prepared(options: argparse.Namespace, folder: Path) -> tuple[str, Path]:
    """Name and data folder of the corpus."""
    if options.data:
        return options.name or Path(options.data).resolve().parent.name, Path(options.data)
    subprocess.run([sys.executable, "-m", "neuronspec.cli.app", "prepare", DEMO, "--out", folder / "demo"], check=True)
    return "demo", folder / "demo" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(shapes.SIZES), default="d256")
    parser.add_argument("--data", help="the data folder of a run, instead of the demo corpus")
    parser.add_argument("--name", help="what to call that data in the result")
    parser.add_argument("--eole", help="a Python that has Eole")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--updates", type=int, default=2, help="updates of a turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=60, help="of measuring; then the round is the last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("bf16", "float32"), default="bf16", help="of all loops")
    parser.add_argument("--compile", action="store_true", help="training.compile for neuronspec, on a GPU")
    parser.add_argument("--quick", action="store_true", help="two rounds of small batches; writes no result")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batch_tokens, options.updates = 2, 512, 1
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        name, data = prepared(options, folder)
        workers = [
            Worker(arm, command, folder / f"{arm}.log", {"OMP_NUM_THREADS": str(options.threads)})
            for arm, command in commands(options, data, folder).items()
        ]
        for worker in workers:
            worker.built()
        for worker in workers:
            worker.turn()
        before = ceiling(torch.bfloat16), ceiling(torch.float32)
        turns = measure(workers, options.rounds, options.minutes)
        after = ceiling(torch.bfloat16), ceiling(torch.float32)
        for worker in workers:
            worker.end()
        share, vocabulary = target_share(TokenStore.open(data))
    highest = {"bf16": max(before[0], after[0]), "float32": max(before[1], after[1])}
    result = {
        "batch tokens": options.batch_tokens,
        "rounds": len(turns[OURS]),
        "threads": options.threads,
        "updates a turn": options.updates,
        "wall": facts(turns, "seconds"),
        "cpu": facts(turns, "cpu"),
        "matrix product ceiling, GFLOP/s": {kind: round(value / 1e9) for kind, value in highest.items()},
    }
    work_a_token = shapes.floating_point_operations(shapes.SIZES[options.size], vocabulary, 1000, 1000)
    source_work = shapes.floating_point_operations(shapes.SIZES[options.size], vocabulary, 1000, 0)
    token = (work_a_token - source_work + share * source_work) / 1000
    result[f"model FLOP/s over {options.precision} ceiling"] = {
        arm: round(rate * token / highest[options.precision], 3)
        for arm, rate in result["wall"]["target tokens/s"].items()
    }
    if torch.cuda.is_available():
        peaks = {arm: max(turn["memory"] for turn in taken) / 2**30 for arm, taken in turns.items()}
        result["peak GPU memory, GiB"] = {arm: round(peak, 2) for arm, peak in peaks.items()}
    kind = "" if options.precision == "bf16" else f" {options.precision}"
    save(f"{name} {options.size}{kind}{' compiled' if options.compile else ''}", result, options.quick)


def save(key: str, result: dict[str, Any], quick: bool) -> None:
    """Add the result to the file: one entry per corpus, size and precision, with its machine."""
    if quick:
        print(json.dumps({key: result}, indent=1))
        return
    path = RESULTS / "training_speed.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    entries = {name: value for name, value in old.items() if name not in ("benchmark", "arguments", "machine")}
    write_result("training_speed", entries | {key: {"machine": describe_machine(), **result}})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(*sys.argv[2:])
    else:
        main()
