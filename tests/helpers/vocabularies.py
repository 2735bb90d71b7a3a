"""Tokenizers of each kind whose vocabulary can be changed, trained on a few sentences in several scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuronspec.models.settings import TokenizerSettings
from neuronspec.models.tokenizer import load_tokenizer, merges_of, train_tokenizer
from tests.helpers.checkpoints import FAMILIES, trained_pieces

SENTENCES = [
    "The house stands at the end of the street, and the door is open.",
    "Das Haus steht am Ende der Straße, und die Tür ist offen.",
    "La maison est au bout de la rue, et la porte est ouverte.",
    "Дом стоит в конце улицы, и дверь открыта.",
    "Το σπίτι είναι στο τέλος του δρόμου και η πόρτα είναι ανοιχτή.",
    "Copy %s to {folder}: 1234567890 files (50%), version 2.0?",
    "the thethe hothouse houses others' thermostats & street ends",
    "offene Türen, offene Häuser; Straßenende und Straßen",
] * 3


def byte_level(folder: Path) -> Path:
    """As GPT-2 and Qwen: BPE of bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>", extra_special_tokens=["<|user|>"]
    ).save_pretrained(folder)
    return folder


def byte_fallback(folder: Path) -> Path:
    """As Llama 2 and Gemma: SentencePiece BPE that doesn't split at spaces, and bytes for unknown characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    _, content = trained_pieces(
        SENTENCES, "bpe", 420, byte_fallback=True, normalization_rule_name="identity", character_coverage=0.98
    )
    pieces = [piece.piece for piece in content.pieces]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    bpe = models.BPE(vocabulary, merges_of(pieces), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    return folder


def _checkpoint(family: str) -> Callable[[Path], Path]:
    return lambda folder: FAMILIES[family](folder, SENTENCES)


def _ours(kind: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        settings = TokenizerSettings.model_validate({"type": kind, "vocabulary": 180})
        train_tokenizer(SENTENCES, settings, ["en", "de", "fr", "ru"]).save_pretrained(str(folder))
        return folder

    return build


KINDS: dict[str, Callable[[Path], Path]] = {
    "nllb": _checkpoint("nllb"),
    "m2m100": _checkpoint("m2m100"),
    "mbart50": _checkpoint("mbart50"),
    "our bpe": _ours("bpe"),
    "our unigram": _ours("unigram"),
    "byte level": byte_level,
    "byte fallback": byte_fallback,
}
TAGGED = tuple(KINDS)[:5]
"""Those with tags of languages."""


def tokenizer_of(kind: str, folder: Path) -> Any:
    """A tokenizer as a recipe uses it: special tokens that a text spells out are text."""
    tokenizer = load_tokenizer(KINDS[kind](folder))
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    return tokenizer
