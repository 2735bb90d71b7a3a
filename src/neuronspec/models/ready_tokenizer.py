"""A tokenizer that is there already (`tokenizer.path`): a SentencePiece model, or the folder of one made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuronspec.core.errors import CorpusError, told_as
from neuronspec.models.tokenizer import (
    language_tag,
    load_tokenizer,
    make_tokenizer,
    tags_of,
)

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_NORMAL, _UNKNOWN, _CONTROL, _UNUSED = 1, 2, 3, 5
_KINDS = {1: "unigram", 2: "bpe"}


def open_tokenizer(path: Path, languages: Sequence[str]) -> Any:
    """The tokenizer of a recipe's `tokenizer.path`, with tags for its languages.

    Pieces of a SentencePiece model keep their order, behind the four special tokens; its normalisation is kept, too.

    Args:
        path: a SentencePiece model, BPE or unigram; or a folder such as RUN/data/tokenizer, with all tags.
        languages: codes that need a tag.

    Raises:
        CorpusError: it can't be read, splits in a way that isn't supported, or lacks a tag.
        ModelError: as of `load_tokenizer`.
    """
    if path.is_file():
        return _of_sentencepiece(path, languages)
    tokenizer = load_tokenizer(path)
    known = tags_of(tokenizer)
    missing = [code for code in languages if language_tag(code) not in known]
    if missing:
        raise CorpusError(
            f"tokenizer.path: {path} has no tag {language_tag(missing[0])}; name a SentencePiece model, which gets the "
            "tags of the recipe's languages, or leave path out"
        )
    return tokenizer


def _of_sentencepiece(path: Path, languages: Sequence[str]) -> Any:
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    with told_as(CorpusError, f"tokenizer.path: {path} is no SentencePiece model"):
        content = path.read_bytes()
        SentencePieceProcessor(model_proto=content)
        model.ParseFromString(content)
    kind = _KINDS.get(model.trainer_spec.model_type)
    if kind is None:
        raise CorpusError(f"tokenizer.path: {path} splits into words or characters; give a BPE or unigram model")
    if model.trainer_spec.treat_whitespace_as_suffix or not model.normalizer_spec.add_dummy_prefix:
        raise CorpusError(f"tokenizer.path: {path} marks words in another way than by a space in front; give another")
    pieces = []
    for piece in model.pieces:
        if piece.type == _NORMAL:
            pieces.append((str(piece.piece), float(piece.score)))
        elif piece.type not in (_UNKNOWN, _CONTROL, _UNUSED):
            what = "bytes" if piece.type == 6 else "pieces of the user"
            raise CorpusError(
                f"tokenizer.path: {path} has {what}, such as {piece.piece!r}, which aren't supported; train it without "
                "them, or leave path out"
            )
    return make_tokenizer(
        kind,
        [*((token, 0.0) for token in _SPECIAL), *pieces],
        [language_tag(code) for code in languages],
        model.normalizer_spec.precompiled_charsmap,
    )
