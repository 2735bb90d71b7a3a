"""Checkpoints that a recipe starts from: where they are, whether they suit, and what identifies them. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import TypedDict

from neuronspec.core.checksums import FileName, digest
from neuronspec.core.direction import Direction
from neuronspec.core.errors import Mistakes, ModelError, PathError, RecipeError, told_as
from neuronspec.core.json_files import read_json
from neuronspec.models.hub import cached
from neuronspec.models.mixtures import why_not_mixture

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from neuronspec.models.settings import ModelSettings


class _Index(TypedDict):
    """What tells in which files sharded weights are."""

    weight_map: dict[str, FileName]


FAMILIES = {
    "m2m_100": "M2M-100 and NLLB-200",
    "mbart": "mBART",
    "marian": "Marian",
    "t5": "T5 and MADLAD-400",
    "mt5": "mT5",
    "llama": "Llama, SmolLM2 and their like",
    "mistral": "Mistral",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gemma": "Gemma",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3",
    "cohere": "Aya",
    "olmo2": "OLMo 2",
    "gpt2": "GPT-2",
    "gpt_neox": "GPT-NeoX and Pythia",
    "opt": "OPT",
    "bloom": "BLOOM",
}
"""Model types that a recipe can start from: those whose sentences and whose neurons are known and tested."""

Kind: TypeAlias = Literal["new", "encoder-decoder", "causal"]
"""Kinds of models that differ in what can be done with them."""

_WITH_ENCODER = ("m2m_100", "mbart", "marian", "t5", "mt5")
"""Model types with an encoder whose config.json may not say so."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Where transformers looks for weights, in its order."""
_BESIDE = ("[!m]*.safetensors", "neuronspec_*.json", "adapter_config.json")
"""Files without which the weights beside them (`model*`) are another model: masks, adapters, widths of compact ones."""
_BASE = "neuronspec_base.json"
"""See `neuronspec.models.changed_weights`, which imports torch."""
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
    try:
        return cached(name, settings.revision)
    except PathError as error:
        raise RecipeError(f"model.pretrained: {error}") from None


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
    config = _config(folder)
    kind = config.get("model_type")
    if reason := why_not_mixture(config):
        raise RecipeError(f"model.pretrained: {folder}: {reason}")
    if kind not in FAMILIES:
        known = ", ".join(f"{name} ({what})" for name, what in FAMILIES.items())
        raise RecipeError(f"model.pretrained: {folder} holds a model of type {kind!r}; a recipe can start from {known}")
    beside = sorted(path.name for pattern in _BESIDE for path in folder.glob(pattern) if path.name != _BASE)
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
        RecipeError: there is no such checkpoint, or it is no folder of a model.
        ModelError: its config.json can't be read.
    """
    if settings.pretrained is None:
        return "new"
    config = read_config(settings)
    has_encoder = config.get("is_encoder_decoder", config.get("model_type") in _WITH_ENCODER)
    return "encoder-decoder" if has_encoder else "causal"


def read_config(settings: ModelSettings) -> dict[str, Any]:
    """As `config_of`, whether or not the checkpoint is whole.

    Raises:
        RecipeError: there is no such checkpoint.
        ModelError: its config.json can't be read.
    """
    return _config(checkpoint_folder(settings))


def _check_weights(folder: Path) -> None:
    """Check, without reading them, that all weights are there: before a corpus is prepared for nothing."""
    from safetensors import SafetensorError, safe_open

    found = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise RecipeError(f"model.pretrained: {folder} holds no weights (model.safetensors); {_REMEDY}")
    files = [found]
    if (folder / _BASE).is_file() and found.suffix == ".json":
        from neuronspec.models.changed_weights import check_base, weight_files

        check_base(folder)
        files = weight_files(folder)
    elif found.suffix == ".json":
        index = read_json(found, _Index, _REMEDY, error=ModelError)
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    for path in files:
        if not path.is_file():
            raise ModelError(f"{path} is missing, and {found.name} names it; {_REMEDY}")
        if path.suffix != ".safetensors":
            _check_pickled(path)
            continue
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} can't be read: {error}; {_REMEDY}") from None


def _check_pickled(path: Path) -> None:
    """Check what a file of PyTorch shows without being read: that it isn't cut off, nor a pointer of Git LFS."""
    from zipfile import is_zipfile

    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK") and not is_zipfile(path):
        raise ModelError(f"{path} can't be read: it is cut off; {_REMEDY}")
    if not head or head.startswith(b"version "):
        raise ModelError(f"{path} can't be read: it holds no weights, only a pointer to them or nothing; {_REMEDY}")


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


def vocabulary_of_checkpoint(settings: ModelSettings) -> int:
    """The number of ids of a checkpoint.

    Args:
        settings: with `pretrained`.

    Raises:
        RecipeError, ModelError: as of `check_checkpoint`; or config.json doesn't tell it.
    """
    size = config_of(settings).get("vocab_size")
    if not isinstance(size, int) or size < 1:
        raise ModelError(f"{check_checkpoint(settings) / 'config.json'}: vocab_size is {size!r}, not a size; {_REMEDY}")
    return size


def pretrained_tokenizer(settings: ModelSettings, directions: Sequence[Direction]) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, which knows how the model reads the sentences of some directions.

    Special tokens that a text spells out are text, as in our own tokenizers. The recipe's table of languages, and how
    sentences are framed where that isn't as in our own models, are kept with the tokenizer.

    Args:
        settings: with `pretrained`, and `languages`: by our code its tag, or its name in prompts, where it can't be
            told.
        directions: that are used.

    Raises:
        RecipeError: there is no such checkpoint.
        Mistakes: a language has no tag, or that of another one; a token of the table isn't a tag of the tokenizer; the
            model can't be told which language to write; the vocabulary can't be changed as the recipe has it.
        CorpusError: the tokenizer isn't whole.
        ModelError: it isn't the checkpoint's.
    """
    from transformers import AutoConfig

    from neuronspec.models.fit import check_ids
    from neuronspec.models.language_check import language_problems
    from neuronspec.models.text_format import TextFormat, describe
    from neuronspec.models.tokenizer import FORMAT_KEY, LANGUAGES_KEY, load_tokenizer
    from neuronspec.models.whole_frames import check_room

    folder = check_checkpoint(settings)
    tokenizer: Any = load_tokenizer(folder)
    with told_as(ModelError, f"{folder / 'config.json'} can't be read", _REMEDY):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    check_ids(tokenizer, vocabulary_of_checkpoint(settings), folder)
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    described = describe(tokenizer, config, settings.prompt, settings.chat)
    if described["kind"] != "tagged":
        tokenizer.init_kwargs[FORMAT_KEY] = dict(described)
    if settings.languages:
        tokenizer.init_kwargs[LANGUAGES_KEY] = dict(settings.languages)
    if problems := list(language_problems(settings, tokenizer, described, directions)):
        raise Mistakes(*problems)
    check_room(TextFormat.of(tokenizer).frame, getattr(config, "max_position_embeddings", None), directions)
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
    if not (folder / "config.json").is_file():
        is_run = (folder / "stages.json").is_file()
        name = f"{folder} is a run; name its model, {folder / 'base'} or {folder / 'arms' / 'dense'}"
        other = f"{folder} holds no config.json; name the folder of a Hugging Face model"
        raise RecipeError(f"model.pretrained: {name if is_run else other}")
    return read_json(folder / "config.json", dict[str, Any], _REMEDY, error=ModelError)
