"""Tiny checkpoints of the families that CTranslate2 computes, whose translations depend on what they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

from neuronspec.core.direction import Direction
from neuronspec.models.load import load_base, load_model
from neuronspec.models.pretrained import pretrained_tokenizer
from neuronspec.models.settings import ModelSettings
from tests.helpers.checkpoints import mbart50
from tests.helpers.prompted_checkpoints import PROMPTED
from tests.helpers.synthetic import write_table

DIRECTIONS = [Direction("en", "de"), Direction("de", "en")]
SOURCES = ["one two three", "two", "", "three three one two one two", "one", "three two", "one one one one"]
CAUSAL = ("llama", "qwen3")
CONVERTED = {"mbart50": mbart50, **{name: PROMPTED[name] for name in ("marian", "t5", "mt5", "madlad", *CAUSAL)}}


def made(family: str, folder: Path) -> Path:
    """A checkpoint in `folder`, of one of `CONVERTED` or `PROMPTED`."""
    write_table(folder / "table.tsv", rows=200)
    lines = (folder / "table.tsv").read_text(encoding="utf-8").splitlines()[1:]
    sentences = [cell for line in lines for cell in line.split("\t")[1:]]
    checkpoint = {**PROMPTED, **CONVERTED}[family](folder / family, sentences)
    model = load_model(checkpoint)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.4) if weight.dim() == 2 else weight.add_(torch.randn_like(weight), alpha=0.1)
    model.save_pretrained(checkpoint)
    return checkpoint


def remade(kind: str, folder: Path, **settings: Any) -> Path:
    """The tiny Llama as another class of decoder-only models, or as one with other settings."""
    checkpoint = made("llama", folder)
    old = json.loads((checkpoint / "config.json").read_text())
    own = ("model_type", "architectures", "rope_parameters", "dtype", "transformers_version")
    shape = {name: value for name, value in old.items() if name not in own}
    config = getattr(transformers, f"{kind}Config")(**shape | settings)
    torch.manual_seed(1)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(std=0.4) if "norm" not in name else weight.add_(torch.randn_like(weight), alpha=0.1)
    model.save_pretrained(checkpoint)
    return checkpoint


def opened(folder: Path) -> tuple[Any, Any]:
    """The model and the tokenizer, as a recipe starts from them."""
    settings = ModelSettings(pretrained=str(folder))
    tokenizer = pretrained_tokenizer(settings, DIRECTIONS)
    model = load_base(settings, tokenizer)
    model.generation_config.renormalize_logits = True  # what mustn't be written has no share in CTranslate2
    return model, tokenizer
