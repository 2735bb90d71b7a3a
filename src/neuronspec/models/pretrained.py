"""Checkpoints that a recipe starts from: where they are, whether they suit, and what identifies them. No torch here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuronspec.core.checksums import digest
from neuronspec.core.errors import ModelError, RecipeError
from neuronspec.core.json_files import read_json

if TYPE_CHECKING:
    from neuronspec.models.settings import ModelSettings

FAMILIES = {"m2m_100": "M2M-100 and NLLB-200", "mbart": "mBART-50"}
"""Model types that a recipe can start from: those whose sentences begin with the tag of a language, as ours do."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_MADE_OF = (*_WEIGHTS, "*.json", "*.model", "*.txt")
_REMEDY = "copy the folder again"


def resolved(name: str, folder: Path | None) -> str:
    """The name of a checkpoint as a run keeps it: the whole path of a folder, or a name on the Hugging Face hub.

    Args:
        name: as the recipe has it.
        folder: of the recipe, which relative paths start at.

    Raises:
        ValueError: there is no such folder, and it can't be a name on the hub.
    """
    path = Path(name).expanduser()
    path = folder / path if folder else path
    if path.is_dir():
        return str(path.resolve())
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"no such folder: {path}")
    return name


def checkpoint_folder(settings: ModelSettings) -> Path:
    """Where a checkpoint is: the folder, or its snapshot in the cache of the Hugging Face hub. Downloads nothing.

    Args:
        settings: with `pretrained`.

    Raises:
        RecipeError: there is no such folder, and the cache has no such model.
    """
    name = str(settings.pretrained)
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=settings.revision, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        revision = f" --revision {settings.revision}" if settings.revision else ""
        raise RecipeError(
            f"model.pretrained: there is no folder {name}, and the cache of the Hugging Face hub has no such model. "
            f"A run downloads nothing: 'hf download {name}{revision}' does"
        ) from None


def check_checkpoint(settings: ModelSettings) -> Path:
    """Check that a checkpoint is there, whole, and of a family that a recipe can start from.

    Args:
        settings: with `pretrained`.

    Returns:
        Its folder.

    Raises:
        RecipeError: it isn't there, has no weights, or is of another family.
        ModelError: its config.json can't be read.
    """
    folder = checkpoint_folder(settings)
    if not (folder / "config.json").is_file():
        raise RecipeError(f"model.pretrained: {folder} holds no config.json; name the folder of a Hugging Face model")
    kind = _config(folder).get("model_type")
    if kind not in FAMILIES:
        known = ", ".join(f"{name} ({what})" for name, what in FAMILIES.items())
        raise RecipeError(f"model.pretrained: {folder} holds a model of type {kind!r}; a recipe can start from {known}")
    if not any(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
        raise RecipeError(f"model.pretrained: {folder} holds no weights (model.safetensors); {_REMEDY}")
    return folder


def facts_of(settings: ModelSettings) -> dict[str, Any]:
    """What identifies a checkpoint: its name, the revision if one was asked for, and a hash of all its files.

    Args:
        settings: with `pretrained`.

    Raises:
        RecipeError: as of `checkpoint_folder`.
        ModelError: a file can't be read.
    """
    import hashlib

    folder = checkpoint_folder(settings)
    content = hashlib.sha256()
    try:
        for path in sorted({path for pattern in _MADE_OF for path in folder.glob(pattern) if path.is_file()}):
            content.update(f"{path.name}\0{digest(path)}\n".encode())
    except OSError as error:
        raise ModelError(f"{error.filename} can't be read: {error.strerror}") from None
    found = {"name": settings.pretrained, "revision": settings.revision, "sha256": content.hexdigest()}
    return {key: value for key, value in found.items() if value is not None}


def shape_of(settings: ModelSettings) -> tuple[ModelSettings, int]:
    """The shape of a checkpoint as fields of a recipe, and the size of its vocabulary.

    Args:
        settings: with `pretrained`.

    Raises:
        RecipeError, ModelError: as of `check_checkpoint`; or config.json lacks a size.
    """
    from neuronspec.models.settings import ModelSettings

    folder = check_checkpoint(settings)
    config = _config(folder)
    sizes = ("d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim",
             "encoder_attention_heads", "decoder_attention_heads")  # fmt: skip
    found = {name: config.get(name) for name in (*sizes, "vocab_size")}
    wrong = [name for name, value in found.items() if not isinstance(value, int) or value < 1]
    if wrong:
        raise ModelError(f"{folder / 'config.json'}: {wrong[0]} is {found[wrong[0]]!r}, not a size; {_REMEDY}")
    return ModelSettings.model_validate({name: found[name] for name in sizes}), int(found["vocab_size"] or 0)


def _config(folder: Path) -> dict[str, Any]:
    return read_json(folder / "config.json", dict[str, Any], _REMEDY, error=ModelError)
