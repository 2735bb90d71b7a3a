"""Tiny checkpoints of pretrained multilingual models, with the tokenizer classes of the real ones."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    NllbTokenizer,
)

from neuronspec.models.tokenizer import merges_of

SHAPE = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 128, "dropout": 0.0,
    "attention_dropout": 0.0, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0,
}  # fmt: skip


def trained_pieces(sentences: Sequence[str], kind: str, size: int, **options: Any) -> tuple[bytes, Any]:
    """A SentencePiece model: its file, and what is in it."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, model_type=kind, vocab_size=size, minloglevel=2,
        hard_vocab_limit=False, **options,
    )  # fmt: skip
    content: Any = sentencepiece_model_pb2.ModelProto()
    content.ParseFromString(model.getvalue())
    return model.getvalue(), content


def sentencepiece_model(sentences: Sequence[str], kind: str = "bpe", size: int = 150) -> tuple[bytes, Any]:
    """One with the usual normalization, NFKC and more, and the special tokens of M2M-100 and mBART."""
    return trained_pieces(sentences, kind, size, bos_id=0, pad_id=1, eos_id=2, unk_id=3)


def nllb(folder: Path, sentences: Sequence[str]) -> Path:
    """NLLB-200: BPE, codes like `deu_Latn` as tags."""
    _, content = sentencepiece_model(sentences)
    pieces = [piece.piece for piece in content.pieces]
    tokenizer = NllbTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges_of(pieces),
        _spm_precompiled_charsmap=content.normalizer_spec.precompiled_charsmap,
    )
    return saved(folder, tokenizer, _m2m100(len(tokenizer)))


def m2m100(folder: Path, sentences: Sequence[str]) -> Path:
    """M2M-100: a slow tokenizer over SentencePiece, codes like `__de__` as tags."""
    raw, content = sentencepiece_model(sentences)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "given.model").write_bytes(raw)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(piece.piece for piece in content.pieces[4:])]
    (folder / "given.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    tokenizer = M2M100Tokenizer(str(folder / "given.json"), str(folder / "given.model"))
    saved(folder, tokenizer, _m2m100(max(tokenizer.lang_token_to_id.values()) + 9))
    for name in ("given.model", "given.json"):
        (folder / name).unlink()
    return folder


def mbart50(folder: Path, sentences: Sequence[str]) -> Path:
    """mBART-50: unigram, codes like `de_DE` as tags."""
    _, content = sentencepiece_model(sentences, "unigram", 120)
    vocabulary = [(piece.piece, piece.score) for piece in content.pieces]
    tokenizer = MBart50Tokenizer(
        vocab=vocabulary, _spm_precompiled_charsmap=content.normalizer_spec.precompiled_charsmap, src_lang="en_XX"
    )
    torch.manual_seed(0)
    config = MBartConfig(**SHAPE, vocab_size=len(tokenizer), scale_embedding=True, decoder_start_token_id=2)
    return saved(folder, tokenizer, MBartForConditionalGeneration(config))


FAMILIES: dict[str, Callable[[Path, Sequence[str]], Path]] = {"nllb": nllb, "m2m100": m2m100, "mbart50": mbart50}


def _m2m100(vocabulary: int) -> M2M100ForConditionalGeneration:
    torch.manual_seed(0)
    return M2M100ForConditionalGeneration(M2M100Config(**SHAPE, vocab_size=vocabulary, scale_embedding=True))


def saved(folder: Path, tokenizer: Any, model: Any) -> Path:
    """The folder, with both in it."""
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
