"""The JSON files of a model's folder, checked before libraries read them and build what they ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from safetensors import safe_open

from neuronspec.core.checksums import FileName
from neuronspec.core.errors import ModelError, told_as
from neuronspec.core.files import no_regular_file
from neuronspec.core.json_files import LARGEST, read_json
from neuronspec.models.changed_weights import INDEX_FILE, base_of, check_base, weight_files

if TYPE_CHECKING:
    from transformers import PretrainedConfig

MOST_LAYERS = 1000
MOST_POSITIONS = 2**20
_LAYERS = re.compile(r"(^|_)(n_layers?|num_layers|layers)$|_layers$")
_SIZES = re.compile(r"^(d_model|d_ff|hidden_size|intermediate_size|vocab_size|n_embd|ffn_dim)$|_ffn_dim$")
_SHARES = re.compile(r"(dropout|dropout_rate|layerdrop|pdrop)$")
_POSITIONS = re.compile(r"^(max_position_embeddings|n_positions)$")


class _Index(BaseModel):
    """What is read of an index of weights: the file of each tensor, in the same folder."""

    weight_map: dict[str, FileName]


_SHAPES: dict[str, Any] = {
    "config.json": dict[str, Any],
    "generation_config.json": dict[str, Any],
    "tokenizer_config.json": dict[str, Any],
    "special_tokens_map.json": dict[str, Any],
    INDEX_FILE: _Index,
    "pytorch_model.bin.index.json": _Index,
}


def check_json_files(folder: Path) -> None:
    """Check that the JSON files in a folder of a model or tokenizer can be read; some libraries ignore damaged ones.

    Raises:
        ModelError: one can't; names it. Or the base that the weights are kept beside isn't there as it was.
    """
    tokenizer = folder / "tokenizer.json"
    if tokenizer.exists() and (reason := no_regular_file(tokenizer)):
        raise ModelError(f"{tokenizer} can't be read: {reason}; copy the folder again, or make it again")
    if tokenizer.exists() and tokenizer.stat().st_size > LARGEST:
        raise ModelError(f"{tokenizer} is damaged (larger than {LARGEST // 2**20} MiB); copy the folder again")
    for name, shape in _SHAPES.items():
        if name == INDEX_FILE and base_of(folder) is not None:
            check_base(folder)  # it names files of the base, which is another folder
        elif (folder / name).exists():
            read_json(folder / name, shape, "copy the folder again, or make it again", error=ModelError)


def check_config(config: PretrainedConfig, folder: Path, *, compare: bool = True) -> None:
    """Check that a configuration asks for nothing absurd, which to build would take all memory or no end of time.

    Args:
        config: of the model.
        folder: that it was read from; what isn't here can't be compared.
        compare: with the weights, which in a compact model have other widths.

    Raises:
        ModelError: it has a size that no tensor of the weights has, more layers or positions than any model, or a
            dropout that is no share.
    """
    widest = _widest(folder) if compare else MOST_POSITIONS
    for key, value in config.to_dict().items():
        if _SHARES.search(key) and isinstance(value, int | float) and not 0 <= value <= 1:
            raise ModelError(f"{folder / 'config.json'}: {key} is {value}; a share is between 0 and 1")
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        most = MOST_LAYERS if _LAYERS.search(key) else MOST_POSITIONS if _POSITIONS.search(key) else None
        if _SIZES.search(key):
            if widest is not None and value > widest:
                raise ModelError(
                    f"{folder / 'config.json'}: {key} is {value:,}, and no tensor of the weights is wider than "
                    f"{widest:,}: the files belong to different models, or one is damaged"
                )
        elif most is not None and not 0 <= value <= most:
            raise ModelError(f"{folder / 'config.json'}: {key} is {value:,}; a model has at most {most:,}")


def stored_names(folder: Path) -> set[str]:
    """The names of the tensors in a folder's safetensors files and its base's; none where there are no such files.

    Raises:
        ModelError: a file can't be read.
    """
    names: set[str] = set()
    for path in weight_files(folder):
        with told_as(ModelError, f"{path} can't be read"), safe_open(path, "pt") as file:
            names.update(file.keys())
    return names


def _widest(folder: Path) -> int | None:
    """The largest dimension of any tensor in a folder's safetensors files; None if there are none."""
    widest = None
    for path in weight_files(folder):
        if path.is_file():
            with told_as(ModelError, f"{path} can't be read"), safe_open(path, "pt") as file:
                sizes = (size for name in file.keys() for size in file.get_slice(name).get_shape())  # noqa: SIM118
                widest = max([*sizes, widest or 0])
    return widest
