"""Whether a tokenizer is whole, and whether it is the model's: a wrong one gives wrong text and no error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuronspec.core.errors import CorpusError, ModelError
from neuronspec.core.json_files import read_json

TOKENIZER = "tokenizer.json"
VOCABULARIES = (TOKENIZER, "*.model", "vocab.json", "vocab.txt", "*.tiktoken")
"""Files that hold a vocabulary; without one of them transformers builds an empty tokenizer."""

TAGGED = {"NllbTokenizer", "M2M100Tokenizer", "MBart50Tokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"}
"""Classes of tokenizers with language tags, for models like M2M100, ours among them; others cut words otherwise."""

_MARIAN = ("source.spm", "target.spm", "vocab.json")

_REMEDY = "copy the folder again with the tokenizer that the model was trained with"

SPARE = 0.1
"""Share of a model's ids that its tokenizer may lack: embeddings are padded to round sizes."""


def check_tokenizer_folder(folder: Path) -> None:
    """Check that a folder has the vocabulary of its tokenizer.

    Raises:
        CorpusError: it has none, or something else is in its place, or its longest text is no number.
    """
    remedy = "copy it again from where the folder is from, or save the tokenizer there with save_pretrained"
    config: dict[str, Any] = read_json(folder / "tokenizer_config.json", dict[str, Any], remedy, error=CorpusError)
    longest = config.get("model_max_length")
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int | float)):
        raise CorpusError(f"{folder / 'tokenizer_config.json'}: model_max_length is {longest!r}, no number; {remedy}")
    if (folder / TOKENIZER).is_dir():
        raise CorpusError(f"{folder / TOKENIZER} is a folder, where the file of a tokenizer belongs; {remedy}")
    lacking = [name for name in _files_of(config) if not (folder / name).is_file()]
    if lacking:
        raise CorpusError(f"{folder / lacking[0]} is missing: the tokenizer is made of {', '.join(_MARIAN)}; {remedy}")
    wanted = (TOKENIZER,) if config.get("backend") == "tokenizers" else VOCABULARIES
    if not any(path.is_file() for name in wanted for path in folder.glob(name)):
        raise CorpusError(f"{folder / TOKENIZER} is missing: without it the tokenizer has no vocabulary; {remedy}")


def _files_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Files that a tokenizer needs all of, where it is made of several."""
    return _MARIAN if config.get("tokenizer_class") == "MarianTokenizer" else ()


def vocabulary_file(folder: Path) -> Path:
    """The file that holds a tokenizer's vocabulary; `tokenizer.json` where there is none at all."""
    there = (path for name in VOCABULARIES for path in sorted(folder.glob(name)) if path.is_file())
    return next(there, folder / TOKENIZER)


def count_ids(tokenizer: Any) -> int:
    """The number of a tokenizer's ids, with the tags of languages that M2M100's own tokenizer doesn't count."""
    tags = getattr(tokenizer, "lang_token_to_id", None) or {}
    return max([len(tokenizer), *(number + 1 for number in tags.values())])


def check_class(tokenizer: Any, where: Path | str) -> None:
    """Check that a tokenizer with language tags is of a class that knows them.

    Raises:
        ModelError: it isn't.
    """
    name = type(tokenizer).__name__
    if name.removesuffix("Fast") not in {known.removesuffix("Fast") for known in TAGGED}:
        raise ModelError(
            f"{where}: tokenizer_config.json names the class {name}, which cuts words otherwise than the model has "
            f"learnt; it must be one of {', '.join(sorted(TAGGED))}: copy the file again from where the folder is from"
        )


def check_fit(model: Any, tokenizer: Any, where: Path | str) -> None:
    """Check that a tokenizer can be the model's.

    Args:
        model: of Hugging Face.
        tokenizer: as loaded.
        where: the folder or the name, for the message.

    Raises:
        ModelError: its ids aren't those of the model.
    """
    check_ids(tokenizer, model.get_input_embeddings().weight.shape[0], where)
    if getattr(model.config, "model_type", None) != "m2m_100":
        return
    check_class(tokenizer, where)
    for name in ("pad_token_id", "eos_token_id"):
        own, theirs = getattr(model.config, name, None), getattr(tokenizer, name, None)
        if own != theirs:
            raise ModelError(f"{where}: {name} is {theirs} in the tokenizer and {own} in config.json; {_REMEDY}")


def check_ids(tokenizer: Any, rows: int, where: Path | str) -> None:
    """Check that a tokenizer has about as many ids as a model, and not more.

    Args:
        tokenizer: as loaded.
        rows: of the model's embeddings.
        where: the folder or the name, for the message.

    Raises:
        ModelError: it hasn't.
    """
    ids = count_ids(tokenizer)
    if ids > rows or ids < (1 - SPARE) * rows:
        raise ModelError(f"{where}: the tokenizer has {ids:,} ids and the model {rows:,}; {_REMEDY}")


def check_generation(folder: Path, ids: int | None) -> None:
    """Check the generation_config.json of a folder, which transformers leaves out without a word if it is damaged.

    Args:
        folder: of a model; it may have no such file.
        ids: of the model, if their number is known.

    Raises:
        ModelError: it can't be read, or names ids that the model doesn't have.
    """
    path = folder / "generation_config.json"
    if not path.exists():
        return
    remedy = "copy it again from where the folder is from, or remove it to use the defaults"
    content: dict[str, Any] = read_json(path, dict[str, Any], remedy, error=ModelError)
    for name, value in content.items():
        for number in value if isinstance(value, list) else [value]:
            if name.endswith("_token_id") and number is not None and not _is_id(number, ids):
                known = f"from 0 to {ids - 1}" if ids else "whole numbers"
                raise ModelError(f"{path}: {name} is {number!r}, and the ids of the model are {known}; {remedy}")


def _is_id(number: Any, ids: int | None) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < (ids or number + 1)
