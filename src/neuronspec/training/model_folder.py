"""The result of training as a plain Hugging Face folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.core.errors import TrainingError
from neuronspec.models.load import without_progress_bars


def export_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write model and tokenizer into `folder`, each file complete before it takes its place.

    Args:
        model: to export.
        tokenizer: of the model.
        folder: where they go; files of the same names are replaced.
        weights: full tensors by name, where those of `model` are sharded.

    `AutoModelForSeq2SeqLM` and `AutoTokenizer` load the folder without neuronspec.

    Raises:
        TrainingError: the files can't be written; what was in the folder before is whole.
    """
    temporary = folder / ".export.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        with without_progress_bars():
            model.save_pretrained(temporary, state_dict=None if weights is None else dict(weights))
        tokenizer.save_pretrained(temporary)
        for file in sorted(temporary.iterdir()):
            file.replace(folder / file.name)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the model can't be written to {folder}: {error}; make room on the disk and run again: "
            "training is done and won't be repeated"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
