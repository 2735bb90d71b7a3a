"""Make the page docs/memory.md: python tools/docs/generate_memory.py

The sizes below are those of the models' config.json files; nothing is downloaded and no model is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grids import grid

from neuronspec.models.dimensions import Dimensions
from neuronspec.models.footprint import Footprint, Plan, footprint

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"

CARDS = (16, 24, 80)
TOKENS, TRIMMED = 2048, 32_000


def nllb(width: int, layers: int, ffn: int) -> dict[str, Any]:
    """The configuration of an NLLB-200."""
    return {
        "model_type": "m2m_100", "vocab_size": 256_206, "d_model": width, "encoder_layers": layers,
        "decoder_layers": layers, "encoder_ffn_dim": ffn, "decoder_ffn_dim": ffn,
    }  # fmt: skip


MODELS: Mapping[str, dict[str, Any]] = {
    "NLLB-600M": nllb(1024, 12, 4096),
    "NLLB-1.3B": nllb(1024, 24, 8192),
    "NLLB-3.3B": nllb(2048, 24, 8192),
    "MADLAD-3B": {
        "model_type": "t5", "vocab_size": 256_000, "d_model": 1024, "d_ff": 8192, "d_kv": 128, "num_heads": 16,
        "num_layers": 32, "num_decoder_layers": 32, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
    },
    "Llama-2-7B": {
        "model_type": "llama", "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "tie_word_embeddings": False,
    },
}  # fmt: skip

ALL = Plan(TOKENS, bf16=True, logits=2**27)
FFN = dataclasses.replace(ALL, dtype="bfloat16", trainable="ffn")
SMALL = dataclasses.replace(FFN, checkpointing=True)
SMALLEST = dataclasses.replace(SMALL, optimizer="adafactor")

Setting = tuple[str, Plan, bool]
SETTINGS: Sequence[Setting] = (
    ("everything is trained (the default)", ALL, False),
    ("`gradient_checkpointing: true`", dataclasses.replace(ALL, checkpointing=True), False),
    ("`freeze_embeddings: true`", dataclasses.replace(ALL, freeze_embeddings=True), False),
    ("`freeze_embeddings: true`, `dtype: bfloat16`",
     dataclasses.replace(ALL, freeze_embeddings=True, dtype="bfloat16"), False),
    ("vocabulary trimmed to 32,000", ALL, True),
    ("`optimizer: adafactor`", dataclasses.replace(ALL, optimizer="adafactor"), False),
    ("`optimizer: adamw_8bit`", dataclasses.replace(ALL, optimizer="adamw_8bit"), False),
    ("`trainable: ffn`, `dtype: bfloat16`", FFN, False),
    ("the same, `gradient_checkpointing: true`", SMALL, False),
    ("the same, `optimizer: adamw_8bit`", dataclasses.replace(SMALL, optimizer="adamw_8bit"), False),
    ("the same with `optimizer: adafactor`", SMALLEST, False),
    ("the same, vocabulary trimmed to 32,000", SMALLEST, True),
)  # fmt: skip

TEXT = """# Memory

What a training takes of a GPU's memory, by model and setting. All figures on this page are *computed* from the sizes of
the models (`neuronspec.models.footprint`, which `neuronspec validate` uses, too), not measured. For six trainings of
M2M100 models that were measured on an H100, one of them of the shape of NLLB-600M, the same computation is within 15%
(a test compares it with `benchmarks/results/gpu.json`). T5 and decoder-only models were not measured on a GPU.
Generated: `make docs`.

## What takes the memory

- **Weights that are trained** are float32, and so are their gradients and the optimizer's state: 16 bytes for each with
  `adamw`, about 10 with `adamw_8bit`, about 8 with `adafactor`.
- **Weights that are frozen** take 4 bytes, with `model.dtype: bfloat16` 2, and nothing else.
  `specialization.trainable: ffn` freezes all but the FFNs in the arm `specialized` and in those that it is compared
  with; `freeze_embeddings: true` (of `continuation` or `training`) freezes the tables of the vocabulary, input and
  output.
- **The vocabulary.** NLLB's table has 256,206 rows: in its smallest model it is 43% of all weights, and the loss needs
  room for the table's gradient. A corpus of a few languages needs a part of the rows (`model.trim_vocabulary`); the
  tables below take 32,000 as an example. Logits are computed in chunks for the model types that
  [the page on speed](speed.md) names; others have those of all positions at once, which isn't counted here.
- **Activations** grow with `batch_tokens`, and shrink with `gradient_checkpointing: true` for a second forward pass.
- **bf16 copies** of float32 weights, while a micro-batch is computed (`precision: bf16`).

`dtype: bfloat16` rounds what is frozen to 8 bits of precision, as these models are usually published and served. The
result is saved in bfloat16, too. Without frozen weights it saves disk space alone.
"""

RECIPE = """
A recipe that takes the least of these:

```yaml
model: {pretrained: facebook/nllb-200-3.3B, dtype: bfloat16, trim_vocabulary: true}
specialization: {trainable: ffn}
continuation:
  updates: 1000
  batch_tokens: 2048
  optimizer: adafactor
  learning_rate: 1e-2
  gradient_checkpointing: true
```

Recording and evaluation hold the weights once, in `model.dtype`; on a GPU autocast to bf16 keeps a copy of float32
weights in bf16 beside them, half as large (`recording.precision: float32` and `evaluation.precision: float32` don't).
Arms with parameters of their own beside the frozen baseline (`adapters_*`, `lora`) take about what frozen weights,
activations and those parameters take.
"""


def taken(config: Mapping[str, Any], plan: Plan, trimmed: bool) -> Footprint:
    """What a model takes in a setting."""
    vocabulary = min(TRIMMED, config["vocab_size"]) if trimmed else config["vocab_size"]
    shape = Dimensions.of_config({**config, "vocab_size": vocabulary})
    assert shape is not None
    return footprint(shape, plan)


def card(size: int) -> str:
    """The smallest card that has room, with a tenth and half a gigabyte for CUDA and what is lost between tensors."""
    fitting = [str(card) for card in CARDS if 1.1 * size + 5e8 <= card * 2**30]
    return fitting[0] if fitting else "-"


def table() -> list[str]:
    """Gigabytes and the smallest card by setting and model."""
    shapes = {name: Dimensions.of_config(config) for name, config in MODELS.items()}
    sizes = [f"{shape.parameters / 1e6:,.0f} M, {shape.ffn / 1e6:,.0f} M" for shape in shapes.values() if shape]
    rows = [["parameters, of which FFN", *sizes]]
    for label, plan, trimmed in SETTINGS:
        totals = [taken(config, plan, trimmed).total for config in MODELS.values()]
        rows.append([label, *(f"{total / 1e9:.1f} ({card(total)})" for total in totals)])
    return grid(["", *MODELS], rows)


def parts() -> list[str]:
    """Where the memory of NLLB-600M goes."""
    names = ("weights", "gradients", "state", "copies", "loss", "activations")
    rows = []
    for label, plan, trimmed in (SETTINGS[0], SETTINGS[4], SETTINGS[7], SETTINGS[8]):
        found = taken(MODELS["NLLB-600M"], plan, trimmed)
        rows.append([label, *(f"{getattr(found, name) / 1e9:.1f}" for name in names)])
    return grid(["", *names], rows)


def page() -> str:
    """The page."""
    lines = [
        TEXT,
        "## What fits where",
        "",
        f"Gigabytes of a training with micro-batches of {TOKENS:,} tokens in bf16, and in brackets the smallest GPU of "
        f"{', '.join(map(str, CARDS[:-1]))} and {CARDS[-1]} GB that has room for it, with a tenth and half a gigabyte "
        'to spare. The first lines change one setting each; "the same" adds to the line above it.',
        "",
        *table(),
        "Where the memory of NLLB-600M goes, in gigabytes:",
        "",
        *parts()[:-1],
    ]
    return "\n".join(lines) + "\n" + RECIPE


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
