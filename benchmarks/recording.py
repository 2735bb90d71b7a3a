"""What recording costs: a recording pass against plain forward passes, and against copying activations out.

    python benchmarks/recording.py [--rounds 3] [--threads 1]

Four passes over the same batches, taken in turn, each round in another order; medians over rounds.

- plain: `model(**inputs)` in eval mode without gradients, as one would call it.
- without logits: the same without the output layer. Recording leaves that out too, so this is its own work
  without the counting, and the stricter comparison.
- recording: `record_activations`.
- reference: the scheme of the paper's scripts on top of the plain pass: copy each activation to the CPU, find the
  positive entries with `nonzero`, count them with `bincount` (padding included).

Time is CPU time of the process on a CPU (other programs disturb it less) and wall time on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from machine import write_result
from neuronspec.models.batch import Batch
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.recording import record_activations

PAD = 1


def build(vocabulary: int, d_model: int, ffn: int, layers: int, heads: int) -> M2M100ForConditionalGeneration:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=vocabulary, d_model=d_model, encoder_ffn_dim=ffn, decoder_ffn_dim=ffn, encoder_layers=layers,
        decoder_layers=layers, encoder_attention_heads=heads, decoder_attention_heads=heads,
        encoder_layerdrop=0.0, decoder_layerdrop=0.0,
    )  # fmt: skip
    return M2M100ForConditionalGeneration(config).eval()


def make_batches(number: int, tokens: int, vocabulary: int, device: str) -> list[Batch]:
    """Batches of about `tokens` padded tokens out of sentences of 5 to 60 tokens (log-normal, median 22), sorted by
    length as a training run would; the target's lengths differ from the source's by about a tenth."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.exp(3.1 + 0.5 * torch.randn(4096, generator=generator)).clamp(5, 60).long().sort().values

    def side(name: str, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
        ids = torch.randint(4, vocabulary, mask.shape, generator=generator).masked_fill(mask == 0, PAD)
        return {f"{name}input_ids": ids, f"{name}attention_mask": mask}

    batches = []
    for index in range(number):
        start = len(lengths) * (index + 1) // (number + 1)
        source = lengths[start : start + max(1, tokens // int(lengths[start]))]
        target = (source * (1 + 0.1 * torch.randn(len(source), generator=generator))).long().clamp(min=3)
        inputs = side("", source) | side("decoder_", target)
        batches.append(Batch(("en-de", "de-en")[index % 2], inputs).to(device))
    return batches


@contextmanager
def reference_counting(model: torch.nn.Module) -> Iterator[None]:
    """Count by copying whole activations to the CPU."""
    with ExitStack() as stack:
        for site in find_ffn_sites(model):
            counts = torch.zeros(site.width, dtype=torch.int64)

            def count(_: torch.nn.Module, args: tuple[torch.Tensor, ...], counts: torch.Tensor = counts) -> None:
                values = args[0].detach().to("cpu", copy=True)
                neurons = (values > 0).nonzero()[:, -1]
                counts.add_(torch.bincount(neurons, minlength=len(counts)))

            stack.callback(site.down.register_forward_pre_hook(count).remove)
        yield


def measure(model: M2M100ForConditionalGeneration, batches: list[Batch], rounds: int, bf16: bool) -> dict[str, float]:
    """Seconds a pass over the batches, medians."""
    device = next(model.parameters()).device

    def plain() -> None:
        for batch in batches:
            model(**batch.inputs, use_cache=False)

    def without_logits() -> None:
        for batch in batches:
            model.model(**batch.inputs, use_cache=False)

    def reference() -> None:
        with reference_counting(model):
            plain()

    passes: dict[str, Callable[[], object]] = {
        "plain": plain,
        "without logits": without_logits,
        "recording": lambda: record_activations(model, batches),
        "reference": reference,
    }
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        for number in range(rounds + 1):
            names = list(passes) if number % 2 else list(reversed(passes))
            for name in names:
                start = clock()
                passes[name]()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if number:  # the first round warms up
                    seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = {"vocabulary": 16000, "d_model": 512, "ffn": 2048, "layers": 6, "heads": 8}
    model = build(**shape).to(device)
    batches = make_batches(options.batches, options.batch_tokens, shape["vocabulary"], device)
    masks = [mask for batch in batches for name, mask in batch.inputs.items() if name.endswith("mask")]
    result: dict[str, object] = {
        "model": shape,
        "device": device,
        "positions": sum(mask.numel() for mask in masks),
        "padding": round(1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks), 3),
    }
    for precision in ("float32", "bf16"):
        seconds = measure(model, batches, options.rounds, precision == "bf16")
        ours, theirs = seconds["recording"], seconds["reference"]
        result[precision] = {
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
            "recording / plain": round(ours / seconds["plain"], 3),
            "recording / without logits": round(ours / seconds["without logits"], 3),
            "reference / plain": round(theirs / seconds["plain"], 3),
            "overhead, reference / ours": round(
                (theirs - seconds["plain"]) / max(ours - seconds["without logits"], 1e-9), 1
            ),
        }
    write_result("recording", result)


if __name__ == "__main__":
    main()
