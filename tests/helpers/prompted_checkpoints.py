"""Tiny checkpoints of models that are told in words, or by a tag in the source, what to translate into."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, ByteLevelBPETokenizer
from transformers import (
    GemmaTokenizer,
    LlamaTokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    Qwen2Tokenizer,
    T5Tokenizer,
)

from neuronspec.models.tokenizer import merges_of
from tests.helpers.checkpoints import saved, trained_pieces

CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def marian(folder: Path, sentences: Sequence[str]) -> Path:
    """A multilingual Marian: another SentencePiece model for sources than for targets, `>>deu<<` in the source."""
    folder.mkdir(parents=True, exist_ok=True)
    words: list[str] = []
    for side, part, size in (("source", sentences, 120), ("target", sentences, 90)):
        raw, content = trained_pieces(part, "unigram", size)
        (folder / f"{side}.spm").write_bytes(raw)
        words += [piece.piece for piece in content.pieces[3:]]
    vocabulary = dict.fromkeys(["</s>", "<unk>", *words, ">>deu<<", ">>eng<<", ">>fra<<", "<pad>"])
    (folder / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(vocabulary)}))
    tokenizer = MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"))
    pad = len(vocabulary) - 1
    torch.manual_seed(0)
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48,
        decoder_ffn_dim=48, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=128,
        pad_token_id=pad, eos_token_id=0, bos_token_id=0, decoder_start_token_id=pad, forced_eos_token_id=0,
        dropout=0.0, activation_function="swish", scale_embedding=True, share_encoder_decoder_embeddings=True,
    )  # fmt: skip
    model = MarianMTModel(config)
    model.final_logits_bias.normal_(std=0.1)
    model.generation_config.bad_words_ids = [[pad]]
    return saved(folder, tokenizer, model)


def _t5_tokenizer(sentences: Sequence[str], tags: Sequence[str] = ()) -> Any:
    _, content = trained_pieces(sentences, "unigram", 140, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = T5Tokenizer(
        vocab=[(piece.piece, piece.score) for piece in content.pieces],
        extra_ids=0,
        _spm_precompiled_charsmap=content.normalizer_spec.precompiled_charsmap,
    )
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    return tokenizer


def _t5(folder: Path, tokenizer: Any, kind: str, activation: str, **more: Any) -> Path:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer) + 1, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=2,
        feed_forward_proj=activation, dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        **more,
    )  # fmt: skip
    return saved(folder, tokenizer, getattr(transformers, f"{kind}ForConditionalGeneration")(config))


def t5(folder: Path, sentences: Sequence[str]) -> Path:
    """T5: a prompt in words, ReLU, a scaled tied head."""
    return _t5(folder, _t5_tokenizer(sentences), "T5", "relu")


def mt5(folder: Path, sentences: Sequence[str]) -> Path:
    """mT5: gated GELU, an untied head."""
    return _t5(folder, _t5_tokenizer(sentences), "MT5", "gated-gelu", tie_word_embeddings=False)


def madlad(folder: Path, sentences: Sequence[str]) -> Path:
    """MADLAD-400: T5 with `<2de>` in the source."""
    tokenizer = _t5_tokenizer(sentences, ["<2de>", "<2en>", "<2fr>"])
    return _t5(folder, tokenizer, "T5", "gated-gelu", tie_word_embeddings=False)


def _llama_like(folder: Path, tokenizer: Any, kind: str, **more: Any) -> Path:
    torch.manual_seed(0)
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id,
           "pad_token_id": tokenizer.pad_token_id}  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer) + 3, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=256, **ids, **more,
    )  # fmt: skip
    return saved(folder, tokenizer, getattr(transformers, f"{kind}ForCausalLM")(config))


def llama(folder: Path, sentences: Sequence[str]) -> Path:
    """Llama 2: SentencePiece BPE with bytes, no padding token, `<s>` in front."""
    _, content = trained_pieces(sentences, "bpe", 400, byte_fallback=True)
    pieces = [piece.piece for piece in content.pieces]
    tokenizer = LlamaTokenizer(
        vocab={piece: place for place, piece in enumerate(pieces)}, merges=merges_of(pieces), add_bos_token=True
    )
    return _llama_like(folder, tokenizer, "Llama")


def qwen3(folder: Path, sentences: Sequence[str]) -> Path:
    """Qwen 3: byte-level BPE, no token in front, a chat template."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(sentences, vocab_size=400)
    content = json.loads(trained.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=content["vocab"], merges=[tuple(pair) for pair in content["merges"]], eos_token="<|im_end|>",
        pad_token="<|endoftext|>", extra_special_tokens=["<|im_start|>"],
    )  # fmt: skip
    tokenizer.chat_template = CHAT
    return _llama_like(folder, tokenizer, "Qwen3")


def gemma2(folder: Path, sentences: Sequence[str]) -> Path:
    """Gemma 2: soft caps, tied and scaled embeddings, spaces as they are written."""
    _, content = trained_pieces(
        sentences, "bpe", 400, byte_fallback=True, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3
    )
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", *(piece.piece for piece in content.pieces[4:]), "<mask>"]
    tokenizer = GemmaTokenizer(
        vocab={piece: place for place, piece in enumerate(pieces)}, merges=merges_of(pieces[4:-1]), add_bos_token=True
    )
    return _llama_like(folder, tokenizer, "Gemma2", query_pre_attn_scalar=8)


PROMPTED: dict[str, Callable[[Path, Sequence[str]], Path]] = {
    "marian": marian,
    "t5": t5,
    "mt5": mt5,
    "madlad": madlad,
    "llama": llama,
    "qwen3": qwen3,
    "gemma2": gemma2,
}
