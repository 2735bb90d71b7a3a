"""Checkpoints that a recipe starts from: where they are, whether they suit, and what identifies them. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import TypedDict

from neuronspec.core.checksums import FileName, digest
from neuronspec.core.errors import DirectionError, ModelError, RecipeError, nearest
from neuronspec.core.json_files import read_json
from neuronspec.models.mixtures import why_not_mixture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from neuronspec.models.settings import ModelSettings


class _Index(TypedDict):
    """What tells in which files sharded weights are."""

    weight_map: dict[str, FileName]


FAMILIES = {"m2m_100": "M2M-100 and NLLB-200", "mbart": "mBART-50"}
"""Model types that a recipe can start from: those whose sentences begin with the tag of a language, as ours do."""

Kind: TypeAlias = Literal["new", "encoder-decoder", "causal"]
"""Kinds of models that differ in what can be done with them."""

_WITH_ENCODER = ("m2m_100", "mbart", "marian", "t5", "mt5")
"""Model types with an encoder whose config.json may not say so."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where transformers looks for weights, in its order."""
_BESIDE = ("[!m]*.safetensors", "neuronspec_*.json", "adapter_config.json")
"""Files without which the weights beside them (`model*`) are another model: masks, adapters, widths of compact ones."""
_MADE_OF = ("*.safetensors", "pytorch_model*.bin", "*.json", "*.model", "*.txt")
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
    if not _HUB_NAME.fullmatch(name):
        raise RecipeError(f"model.pretrained: there is no folder {name} any more; put the checkpoint back there")
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
    """Check that a checkpoint is there, with all files of its weights, and of a family that a recipe can start from.

    Args:
        settings: with `pretrained`.

    Returns:
        Its folder.

    Raises:
        RecipeError: it isn't there, has no weights, is of another family, or more than its weights makes the model.
        ModelError: its config.json or its weights can't be read.
    """
    folder = checkpoint_folder(settings)
    if not (folder / "config.json").is_file():
        raise RecipeError(f"model.pretrained: {folder} holds no config.json; name the folder of a Hugging Face model")
    config = _config(folder)
    kind = config.get("model_type")
    if reason := why_not_mixture(config):
        raise RecipeError(f"model.pretrained: {folder}: {reason}")
    if kind not in FAMILIES:
        known = ", ".join(f"{name} ({what})" for name, what in FAMILIES.items())
        raise RecipeError(f"model.pretrained: {folder} holds a model of type {kind!r}; a recipe can start from {known}")
    beside = sorted(path.name for pattern in _BESIDE for path in folder.glob(pattern))
    if beside:
        raise RecipeError(
            f"model.pretrained: {folder} holds {beside[0]}, and without it its weights are another model; start from a "
            "plain one, such as the base or the dense arm of a run"
        )
    _check_weights(folder)
    return folder


def kind_of(settings: ModelSettings) -> Kind:
    """What kind of model a recipe starts from: a new one, or a checkpoint with an encoder and a decoder or without.

    Raises:
        RecipeError: there is no such checkpoint.
        ModelError: its config.json can't be read.
    """
    if settings.pretrained is None:
        return "new"
    config = _config(checkpoint_folder(settings))
    has_encoder = config.get("is_encoder_decoder", config.get("model_type") in _WITH_ENCODER)
    return "encoder-decoder" if has_encoder else "causal"


def _check_weights(folder: Path) -> None:
    """Check, without reading them, that all weights are there: before a corpus is prepared for nothing."""
    from safetensors import SafetensorError, safe_open

    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise RecipeError(f"model.pretrained: {folder} holds no weights (model.safetensors); {_REMEDY}")
    files = [found]
    if found.suffix == ".json":
        index = read_json(found, _Index, _REMEDY, error=ModelError)
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    for path in files:
        if not path.is_file():
            raise ModelError(f"{path} is missing, and {found.name} names it; {_REMEDY}")
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} can't be read: {error}; {_REMEDY}") from None


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


def pretrained_tokenizer(settings: ModelSettings, languages: Sequence[str]) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, which knows a tag for each language.

    Special tokens that a text spells out are text, as in our own tokenizers. The recipe's table of languages is kept
    with the tokenizer.

    Args:
        settings: with `pretrained`, and `languages`: its token by our code, where it can't be told.
        languages: that are used.

    Raises:
        RecipeError: there is no such checkpoint, a token of the table isn't a tag of the tokenizer, or two languages
            have the same.
        CorpusError: the tokenizer isn't whole.
        ModelError: it isn't the checkpoint's.
        DirectionError: it has no tag for a language.
    """
    from neuronspec.models.fit import check_ids
    from neuronspec.models.tokenizer import LANGUAGES_KEY, load_tokenizer, tag_id, tags_of

    folder = check_checkpoint(settings)
    tokenizer = load_tokenizer(folder)
    check_ids(tokenizer, shape_of(settings)[1], folder)
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    for code, token in settings.languages.items():
        known = tags_of(tokenizer)
        if token not in known:
            raise RecipeError(f"model.languages: {code}: the tokenizer has no tag {token!r}; {nearest(token, known)}")
    if settings.languages:
        tokenizer.init_kwargs[LANGUAGES_KEY] = dict(settings.languages)
    owners: dict[int, str] = {}
    for code in languages:
        try:
            tag = tag_id(tokenizer, code)
        except DirectionError as error:
            raise DirectionError(
                f"{settings.pretrained}: {error}. model.languages says which tag to use, model.new_languages makes one"
            ) from None
        other = owners.setdefault(tag, code)
        if other != code:
            raise RecipeError(
                f"model.languages: {other} and {code} have the same tag, {tokenizer.convert_ids_to_tokens(tag)!r}, so "
                "the model couldn't tell them apart; give each its own"
            )
    return tokenizer


def config_of(settings: ModelSettings) -> dict[str, Any]:
    """The configuration of a checkpoint.

    Args:
        settings: with `pretrained`.

    Raises:
        RecipeError, ModelError: as of `check_checkpoint`.
    """
    return _config(check_checkpoint(settings))


def _config(folder: Path) -> dict[str, Any]:
    return read_json(folder / "config.json", dict[str, Any], _REMEDY, error=ModelError)
