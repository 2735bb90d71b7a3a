"""Make the page docs/costs.md: python tools/docs/generate_costs.py

All numbers on it come from `cost_model.py` and the result files that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cost_model
from cost_model import Checked, Machine, Update, bart_like, read
from grids import grid

from neuronspec.models.footprint import Plan, footprint

PAGE = Path(__file__).parents[2] / "docs" / "costs.md"

LANGUAGES, PAIRS, SENTENCE, PADDING = 200, 10**9, 30, 0.1
"""Of the large run's text: languages beside English, pairs, pieces of a sentence, and padding in batches."""
GPUS, TOKENS = 64, 16_384
"""How many train it, and padded tokens of each in an update."""
WIDTH, FFN, LAYERS, VOCABULARY, TRIMMED = 2048, 8192, 24, 256_206, 64_000
EXCHANGE = 40e9
"""Bytes per second in which GPUs exchange gradients: an assumption (four fifths of 400 Gbit/s)."""

TEXT = """# What a large run costs

How time, memory and disk of a run grow with pairs, languages and the size of the model, and what that comes to at 200
languages. Use it to size a run before you rent machines. The constants are measured by the scripts under `benchmarks/`;
what they say of larger sizes is *computed*. Generated: `make docs`.

## What each stage takes
"""

STAGES = (
    (
        "`prepare`",
        "texts, on all cores; the tokenizer is trained on a sample of fixed size",
        "8 to 16 bytes per pair (hashes), and a few blocks of text per worker",
        "the text once while it works; then 2 bytes per token (4 above 65,536 ids) and 16 bytes per pair",
    ),
    (
        "`train`, an arm",
        "updates x the time of one, below",
        "[memory by model](memory.md); of the host 8 bytes per pair, and 4 per pair and direction, in each process",
        "weights and, for each checkpoint that is kept, 12 bytes per parameter",
    ),
    (
        "`record`",
        "directions x sentences x a forward pass (3-4% more than a plain one)",
        "the model; 16 bytes per direction and neuron",
        "16 bytes per direction and neuron",
    ),
    (
        "`select`",
        "directions x neurons: a sort",
        "as `record`",
        "1 bit per direction and neuron; equal masks are kept once",
    ),
    ("`evaluate`", "arms x directions x sentences x beam", "the model; a few batches", "the translations"),
    (
        "`analyse`, `report`",
        "pairs of directions x sites; the causal check: directions squared x sentences x a forward pass",
        "all masks and counts",
        "a page of about 7 MB at 60 directions",
    ),
    ("`export`", "directions, at the speed of the disk", "one model", "one model per direction"),
)

FORMULA = """
## How long an update takes

With the sizes of one process: FLOPs are six per weight of a layer and padded token (eight with
`gradient_checkpointing`), and six per weight of the output table and target token. A machine has a *ceiling* (the
fastest matrix product that was measured on it) and three constants:

- device = FLOPs / ceiling + c1 x target tokens x vocabulary + c2 x parameters;
- host = c3 x layers, the time to start a layer's operations;
- an update takes their sum on a CPU, and the root of the sum of their squares on a GPU, where they partly overlap.

The loss is what c1 is for: each logit is read and written several times. c2 is for the optimizer, and for clearing and
clipping gradients. All three also carry what the layers do besides products.
"""

CAVEATS = """
The GPU's constants come from four points with 48 to 615 million parameters, on one GPU; 3.3 billion are an
extrapolation. Not measured on a GPU: recording, analysis and decoding, several GPUs, and the gathers of
`parallel: fsdp`. The exchange of gradients is computed from a bandwidth that we assume.

On the CPU three small runs of a few minutes (float32) can't tell the constants apart: rely on the sum over a run more
than on its parts, and on neither for models that are much larger.
"""


def constants(machines: dict[str, Machine]) -> list[str]:
    """The constants of each machine."""
    heads = (
        "machine",
        "ceiling, TFLOP/s",
        "c1, ns per 1,000 logits",
        "c2, ns per 1,000 parameters",
        "c3, ms per layer",
    )
    rows = []
    for name, machine in machines.items():
        logit, parameter, layer = machine.constants
        numbers = machine.ceiling / 1e12, logit * 1e12, parameter * 1e12, layer * 1e3
        rows.append([name, *(f"{number:,.3g}" for number in numbers)])
    return grid(heads, rows)


def checks(checked: Sequence[Checked]) -> list[str]:
    """Predictions beside what was measured."""
    rows = [(each.what, _time(each.predicted), _time(each.measured), f"{each.error:+.0%}") for each in checked]
    return grid(("", "predicted", "measured", "off by"), rows)


def large_run(machine: Machine) -> list[str]:
    """The stages of the large run."""
    directions, shape = 2 * LANGUAGES, bart_like(WIDTH, FFN, LAYERS, VOCABULARY)
    neurons, composed = 2 * LAYERS * FFN, LANGUAGES * (LANGUAGES - 1)
    per_text, tokenizer, _ = cost_model.preparing()
    recording = 1.04 * directions * Update(shape, 500 * SENTENCE, 0).flops / 3 / machine.ceiling / 0.3
    half = shape.parameters - 0.5 * shape.ffn
    whole = f"one pass over the text in both directions, all {VOCABULARY:,} pieces"
    rows = [
        (
            "`prepare`",
            f"{_time(2 * PAIRS * per_text + tokenizer)} on two cores, {_time(2 * PAIRS * per_text / 32)} on 64 if it "
            f"stays linear; {8 * PAIRS / 1e9:.0f} to {16 * PAIRS / 1e9:.0f} GB of memory; "
            f"{PAIRS * (8 * SENTENCE + 16) / 1e9:,.0f} GB of disk for the store (ids of 4 bytes)",
        ),
        (whole, _pass(machine, VOCABULARY)),
        (f"the same, vocabulary trimmed to {TRIMMED:,} pieces", _pass(machine, TRIMMED)),
        ("memory of a GPU, activations checkpointed", _memory()),
        (
            "memory of the host, per process",
            f"{_host() / 1e9:.0f} GB for lengths and the order of an epoch in both directions",
        ),
        (
            f"`record`, 500 sentences of {directions} directions",
            f"{_time(recording)} on one GPU at 30% of its ceiling; {16 * directions * neurons / 1e9:.1f} GB",
        ),
        (
            "masks",
            f"{directions * neurons / 8e6:.0f} MB for {directions} directions; {composed * neurons / 8e9:.1f} GB for "
            f"all {composed:,} zero-shot directions, if each had its own; in memory 8 times as much",
        ),
        (
            "`export` in int8, half of the FFNs left out",
            f"{half / 1e9:.1f} GB per direction, {directions * half / 1e12:.1f} TB for all; the dense model "
            f"{shape.parameters / 1e9:.1f} GB once",
        ),
    ]
    return grid(("", "what it comes to"), rows)


def breaks(machine: Machine) -> list[str]:
    """What breaks first, and what to set."""
    update, shape = _update(VOCABULARY), bart_like(WIDTH, FFN, LAYERS, VOCABULARY)
    loss = update.sizes[0] * machine.constants[0] / machine.seconds(update)
    fixed = footprint(shape, Plan(0, bf16=True, logits=0)).fixed
    rows = [
        (
            "memory of the GPU",
            f"{fixed / 1e9:.0f} GB of weights, gradients and AdamW's averages before the first activation",
            "`training.parallel: fsdp` with `gradient_checkpointing: true`; or `optimizer: adafactor` with "
            "`specialization.trainable: ffn`",
        ),
        (
            "memory of the host",
            f"every process holds lengths and order: {8 * _host() / 1e9:.0f} GB for eight on a machine",
            "no setting makes it less per pair; `corpus.max_pairs` reads fewer",
        ),
        (
            "a reader, which is one process",
            f"1 billion units of TMX, the slowest format, take {_time(PAIRS / _read_alone('tmx'))}",
            "many files, and `prepare --part` in [several jobs](large-corpora.md#text-that-several-jobs-read)",
        ),
        (
            f"the loss over {VOCABULARY:,} pieces",
            f"it is {loss:.0%} of an update's time",
            "`model.trim_vocabulary`, if the languages leave pieces unused",
        ),
        (
            "masks per direction",
            "zero-shot directions grow with the square of the languages",
            "`selection.granularity: language`; masks of zero-shot directions are composed, not stored",
        ),
        (
            "disk of exports",
            "one model per direction",
            "export the directions that are served; the others need the dense model alone",
        ),
    ]
    return grid(("what", "why", "what to set"), rows)


def _read_alone(reader: str) -> float:
    """Pairs that a reader gives in a second."""
    return float(read("scale_readers")["alone"][reader]["pairs per second of the processor"])


def _update(vocabulary: int) -> Update:
    return Update(bart_like(WIDTH, FFN, LAYERS, vocabulary), TOKENS, (1 - PADDING) * TOKENS, checkpointing=True)


def _pass(machine: Machine, vocabulary: int) -> str:
    """A pass over the text, in words."""
    update = _update(vocabulary)
    seconds, exchange = machine.seconds(update), 8 * update.shape.parameters / EXCHANGE
    updates = 2 * PAIRS * SENTENCE / (GPUS * update.targets)
    share = update.flops / machine.ceiling / (seconds + exchange)
    return (
        f"{updates:,.0f} updates of {GPUS * TOKENS / 1e6:.1f} million tokens, {seconds:.2f} s each and {exchange:.2f} "
        f"s for gradients: {_time(updates * (seconds + exchange))} ({share:.0%} of the ceiling)"
    )


def _memory() -> str:
    """Of a GPU, in words."""
    shape, plan = bart_like(WIDTH, FFN, LAYERS, VOCABULARY), Plan(TOKENS, bf16=True, checkpointing=True, logits=2**27)
    whole = footprint(shape, plan)
    lean = footprint(shape, replace(plan, optimizer="adafactor", trainable="ffn", dtype="bfloat16"))
    sharded = (whole.fixed + whole.copies) / GPUS + whole.loss + whole.activations
    return (
        f"{whole.total / 1e9:.0f} GB with AdamW; {sharded / 1e9:.0f} GB with `parallel: fsdp`; {lean.total / 1e9:.0f} "
        "GB with `trainable: ffn`, `dtype: bfloat16` and `adafactor`"
    )


def _host() -> int:
    """Bytes of a process for lengths, and for the order of an epoch in both directions."""
    return (8 + 2 * 4) * PAIRS


def page() -> str:
    """The page."""
    on_gpu, gpu_checked = cost_model.gpu()
    on_cpu, cpu_checked = cost_model.cpu()
    gpu, cpu, reader = (read(name)["machine"] for name in ("gpu", "costs", "scale"))
    per_text, _, texts_checked = cost_model.preparing()
    lines = [
        *grid(("stage", "time grows with", "memory", "disk"), STAGES)[:-1],
        FORMULA,
        *constants({f"{gpu['gpu']}, bf16": on_gpu, f"{cpu['cpu']}, {cpu['cores']} cores": on_cpu}),
        f"`prepare` takes {per_text * 1e6:.1f} microseconds per text on {reader['cores']} cores of an {reader['cpu']}.",
        "",
        "## How far it is off",
        "",
        "Predictions of what wasn't used to find the constants (`gpu.json`, `scale.json` and, for runs, `costs.json`, "
        "in `benchmarks/results/`):",
        "",
        *checks([*gpu_checked, texts_checked, *cpu_checked])[:-1],
        CAVEATS,
        f"## {LANGUAGES} languages, {PAIRS / 1e9:.0f} billion pairs, 3.3 billion parameters",
        "",
        f"A model of NLLB-3.3B's shape on {GPUS} such GPUs, {TOKENS:,} padded tokens per GPU and update; "
        f"{LANGUAGES} languages with English in both directions. Assumed: {SENTENCE} pieces per text, {PADDING:.0%} "
        "of padding.",
        "",
        *large_run(on_gpu),
        "## What breaks first",
        "",
        *breaks(on_gpu),
    ]
    return "\n".join([TEXT, *lines]).rstrip("\n") + "\n"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
