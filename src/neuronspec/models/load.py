"""Building Hugging Face M2M100 models from presets, and loading models from folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from neuronspec.core.errors import ModelError
from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings

LONGEST_TRANSLATION = 256
"""Tokens that `generate` gives at most, where the caller says nothing else."""


def build_model(
    settings: ModelSettings, tokenizer: PreTrainedTokenizerBase, seed: int
) -> M2M100ForConditionalGeneration:
    """A new model: the preset's shape, the recipe's fields over it, the tokenizer's vocabulary and ids.

    All embeddings are one tensor. Weights are drawn from N(0, init_std) with `init_std` d_model^-0.5 where the
    recipe gives none, the scale of Xavier's initialisation of a square matrix and of fairseq's embeddings.
    They depend on `seed` alone; the global random state stays as it was.

    Raises:
        ModelError: the tokenizer lacks an id that the model needs.
    """
    fields = PRESETS[settings.preset] | settings.overrides
    fields.setdefault("init_std", fields["d_model"] ** -0.5)
    ids: dict[str, Any] = {
        name: _special_id(tokenizer, name) for name in ("pad_token_id", "eos_token_id", "bos_token_id")
    }
    config = M2M100Config(
        **fields,
        **ids,
        vocab_size=len(tokenizer),
        decoder_start_token_id=ids["eos_token_id"],
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = M2M100ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        num_beams=5, max_length=LONGEST_TRANSLATION, decoder_start_token_id=ids["eos_token_id"], **ids
    )
    return _placed(model, default_device())


def _special_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    value = getattr(tokenizer, name, None)
    if not isinstance(value, int):
        raise ModelError(f"the tokenizer has no {name} (seen: {value!r}); a model needs padding, start and end tokens")
    return value


def load_model(folder: str | Path, device: torch.device | str | None = None) -> PreTrainedModel:
    """The encoder-decoder model in a local folder, in float32 and eval mode, on `device` (default: `default_device()`).

    Raises:
        ModelError: there is no model in the folder, or its files are damaged or don't fit each other.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        state = "holds no config.json" if folder.is_dir() else "does not exist"
        raise ModelError(f"{folder} is not a model folder: it {state}")
    try:
        with without_progress_bars():
            model, report = AutoModelForSeq2SeqLM.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, json.JSONDecodeError) as error:
        raise ModelError(f"the model in {folder} can't be loaded: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"the weights in {folder} lack {len(missing)} tensors that its config.json asks for, "
            f"such as {missing[0]!r}; the folder is damaged or its files belong to different models"
        )
    return _placed(model.eval(), torch.device(device or default_device()))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """`transformers` draws no bars of its own while it reads and writes models."""
    were_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            logging.enable_progress_bar()


def default_device() -> torch.device:
    """Where models run: the first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _placed(model: Any, where: torch.device) -> Any:
    model.to(where)
    use_fast_attention(model)
    return model
