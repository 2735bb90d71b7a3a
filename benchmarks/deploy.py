"""What sparsity buys where models are served: size, load time, memory and speed against the dense model.

    python benchmarks/deploy.py [--rounds 5] [--sentences 96] [--threads 1,2]

An M2M100 model of d_model 512, FFN 2048, 6+6 layers, 16,000 pieces, with random weights (its speed is that of a
trained one for translations of the same length, which is fixed here), with random masks of 30, 50 and 70% sparsity.
CTranslate2 in int8 and float32, and end to end against `transformers` `generate` of the same dense model in float32.
Arms are taken in turn within a round; ratios are medians of the ratios to the dense arm within a round. Latency is
that of single sentences, throughput that of batches of 32; beam 5.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from machine import write_result
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import compact
from neuronspec.translation.conversion import convert

VOCABULARY, SPARSITIES, LENGTHS, WRITTEN, BEAM, BATCH = 16_000, (0.3, 0.5, 0.7), (8, 32), 20, 5, 32
TAG_SOURCE, TAG_TARGET = 4, 5
clock = time.perf_counter


class Tokens:
    """The tokenizer that a conversion needs: a name for each id."""

    bos_token, eos_token, unk_token = "<s>", "</s>", "<unk>"
    names = ("<s>", "<pad>", "</s>", "<unk>", "__en__", "__de__")

    def __len__(self) -> int:
        return VOCABULARY

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        if isinstance(ids, int):
            return self.names[ids] if ids < len(self.names) else f"t{ids}"
        return [self.convert_ids_to_tokens(int(i)) for i in ids]


def make_model() -> M2M100ForConditionalGeneration:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=VOCABULARY, d_model=512, encoder_layers=6, decoder_layers=6, encoder_ffn_dim=2048,
        decoder_ffn_dim=2048, encoder_attention_heads=8, decoder_attention_heads=8, max_position_embeddings=256,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    return M2M100ForConditionalGeneration(config).eval()


def masks_of(model: Any, sparsity: float) -> dict[str, torch.Tensor]:
    return {site.name: torch.randperm(site.width) >= round(sparsity * site.width) for site in find_ffn_sites(model)}


def export(folder: Path) -> dict[str, Path]:
    """By arm, its CTranslate2 folder."""
    model, tokens = make_model(), Tokens()
    folders: dict[str, Path] = {}
    for sparsity in (0.0, *SPARSITIES):
        own = make_model() if sparsity else model
        if sparsity:
            specialize(own, {"en-de": masks_of(own, sparsity)})
            own = compact(own, "en-de")
        for quantization in ("int8", "float32"):
            name = f"{quantization}, {sparsity:.0%}" if sparsity else f"{quantization}, dense"
            folders[name] = folder / name.replace(", ", "-")
            folders[name].mkdir()
            convert(own, tokens, folders[name], quantization)  # type: ignore[arg-type]
    return folders


def sources(number: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(*LENGTHS, (number,), generator=generator).tolist()
    return [torch.randint(6, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def translate(translator: Any, rows: list[list[int]], tokens: Tokens) -> None:
    """Exactly `WRITTEN` tokens each, so that arms do the same work."""
    texts = [[*tokens.convert_ids_to_tokens([TAG_SOURCE, *row]), "</s>"] for row in rows]
    translator.translate_batch(
        texts, target_prefix=[["__de__"]] * len(rows), beam_size=BEAM, max_input_length=0,
        max_decoding_length=WRITTEN, min_decoding_length=WRITTEN,
    )  # fmt: skip


def generate(model: Any, rows: list[list[int]]) -> None:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor([TAG_SOURCE, *row, 2]) for row in rows], True, 1)
    model.generate(
        input_ids=ids, attention_mask=(ids != 1).long(), num_beams=BEAM, do_sample=False, early_stopping=True,
        forced_bos_token_id=TAG_TARGET, min_new_tokens=WRITTEN, max_new_tokens=WRITTEN,
    )  # fmt: skip


MEMORY = """
import sys, time, ctranslate2
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
before = resident()
start = time.perf_counter()
t = ctranslate2.Translator(sys.argv[1], compute_type=sys.argv[2], inter_threads=1, intra_threads=1)
print(time.perf_counter() - start, resident() - before)
"""


def loading(folder: Path, quantization: str, rounds: int) -> tuple[float, float]:
    """Seconds to load, and megabytes that a process needs for it, in a process of its own; medians."""
    command = [sys.executable, "-c", MEMORY, str(folder), quantization]
    found = [
        [float(value) for value in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(rounds)
    ]
    return statistics.median(each[0] for each in found), statistics.median(each[1] for each in found) / 1e3


def measure(folders: dict[str, Path], threads: int, rounds: int, number: int) -> dict[str, Any]:
    import ctranslate2

    torch.set_num_threads(threads)
    tokens, rows = Tokens(), sources(number)
    translators = {
        name: ctranslate2.Translator(
            str(folder), compute_type=name.partition(",")[0], inter_threads=1, intra_threads=threads
        )
        for name, folder in folders.items()
    }
    runs: dict[str, Any] = {
        name: lambda batch, own=translator: translate(own, batch, tokens) for name, translator in translators.items()
    }
    model = make_model()
    runs["transformers"] = lambda batch: generate(model, batch)
    single: dict[str, list[float]] = {name: [] for name in runs}
    per_round: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number_of_round in range(rounds + 1):
        order = list(runs) if number_of_round % 2 else list(reversed(runs))
        for name in order:
            few = rows[:4] if name == "transformers" else rows[:12]
            times = [_timed(runs[name], [row]) for row in few]
            batch = statistics.mean(_timed(runs[name], rows[i : i + BATCH]) for i in range(0, len(rows), BATCH))
            if number_of_round:  # the first round warms up
                single[name] += times
                per_round[name].append((statistics.mean(times), batch))
        print(f"threads {threads}: round {number_of_round} of {rounds}", flush=True)

    def ratio(name: str, place: int) -> float:
        dense = per_round[name.partition(",")[0] + ", dense" if "," in name else "int8, dense"]
        return round(statistics.median(a[place] / b[place] for a, b in zip(per_round[name], dense, strict=True)), 3)

    return {
        name: {
            "single sentence p50, ms": round(1000 * statistics.median(single[name]), 1),
            "single sentence p95, ms": round(1000 * statistics.quantiles(single[name], n=20)[-1], 1),
            "batch of 32, sentences / s": round(BATCH / statistics.median(b for _, b in per_round[name]), 1),
            "single sentence / dense": ratio(name, 0),
            "batch of 32 / dense": ratio(name, 1),
        }
        for name in runs
    }


def _timed(run: Any, batch: list[list[int]]) -> float:
    start = clock()
    run(batch)
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--cpu-time", action="store_true", help="of the process, for a machine that others use, too")
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock = time.process_time
    result: dict[str, Any] = {"rounds": options.rounds, "beam": BEAM, "tokens written": WRITTEN}
    with TemporaryDirectory() as folder:
        folders = export(Path(folder))
        sizes = {name: (path / "model.bin").stat().st_size for name, path in folders.items()}
        result["size and loading"] = {}
        for name, path in folders.items():
            quantization = name.partition(",")[0]
            seconds, memory = loading(path, quantization, 3)
            result["size and loading"][name] = {
                "MB on disk": round(sizes[name] / 1e6, 1),
                "size / dense": round(sizes[name] / sizes[f"{quantization}, dense"], 3),
                "load, s": round(seconds, 3),
                "MB in memory": round(memory, 1),
            }
        for threads in map(int, options.threads.split(",")):
            label = f"{threads} thread{'s' if threads > 1 else ''}"
            result[label] = measure(folders, threads, options.rounds, options.sentences)
    result["the dense arm of transformers"] = "int8, dense"
    result["time"] = "CPU" if options.cpu_time else "wall"
    write_result("deploy", result)


if __name__ == "__main__":
    main()
