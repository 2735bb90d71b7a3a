"""Tiny checkpoints in the layout of fairseq, and its forward pass, written out for comparison."""

from __future__ import annotations

import argparse
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tests.helpers.checkpoints import trained_pieces
from tests.helpers.vocabularies import SENTENCES

LANGUAGES = ("en", "fr", "de")
"""In the order of `--langs`, which is none of the alphabet's."""

WIDTH, HEADS, INNER, LAYERS = 16, 2, 24, 2


def options(**changed: Any) -> dict[str, Any]:
    """The options of the paper's mT-big, but for sizes."""
    sizes = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in {
            "embed_dim": WIDTH, "ffn_embed_dim": INNER, "layers": LAYERS, "attention_heads": HEADS,
            "normalize_before": True, "learned_pos": False,
        }.items()
    }  # fmt: skip
    return sizes | {
        "task": "translation_multi_simple_epoch", "arch": "transformer_vaswani_wmt_en_de_big", "activation_fn": "relu",
        "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.0, "share_decoder_input_output_embed": True,
        "share_all_embeddings": False, "no_scale_embedding": False, "max_source_positions": 256,
        "max_target_positions": 256, "langs": list(LANGUAGES), "lang_pairs": ["en-de", "de-en", "en-fr", "fr-en"],
        "encoder_langtok": "src", "decoder_langtok": True, "lang_tok_style": "multilingual", "lang_dict": None,
        "lang_tok_replacing_bos_eos": False, "langtoks": None, "adaptive_softmax_cutoff": None, "lr": [5e-4],
    } | changed  # fmt: skip


def state(
    rows: int, *, share_all: bool = False, dtype: torch.dtype = torch.float32, layernorm_embedding: bool = False
) -> dict[str, torch.Tensor]:
    """Random weights by fairseq's names."""
    random = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=random) / 3).to(dtype)

    made: dict[str, torch.Tensor] = OrderedDict()
    table, other = drawn(rows, WIDTH) / 8, drawn(rows, WIDTH) / 8  # small, so that the layers decide what is written
    for part in ("encoder", "decoder"):
        made[f"{part}.version"] = torch.tensor([3.0])
        made[f"{part}.embed_tokens.weight"] = table if part == "encoder" or share_all else other
        made[f"{part}.embed_positions._float_tensor"] = torch.zeros(1)
        for number in range(LAYERS):
            layer = f"{part}.layers.{number}"
            for attention in ("self_attn", "encoder_attn")[: 1 + (part == "decoder")]:
                for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
                    made[f"{layer}.{attention}.{name}.weight"] = drawn(WIDTH, WIDTH)
                    made[f"{layer}.{attention}.{name}.bias"] = drawn(WIDTH)
                made |= _norm(f"{layer}.{attention}_layer_norm", drawn)
            made[f"{layer}.fc1.weight"], made[f"{layer}.fc1.bias"] = drawn(INNER, WIDTH), drawn(INNER)
            made[f"{layer}.fc2.weight"], made[f"{layer}.fc2.bias"] = drawn(WIDTH, INNER), drawn(WIDTH)
            made |= _norm(f"{layer}.final_layer_norm", drawn)
        made |= _norm(f"{part}.layer_norm", drawn)
        if layernorm_embedding:
            made |= _norm(f"{part}.layernorm_embedding", drawn)
    made["decoder.output_projection.weight"] = made["decoder.embed_tokens.weight"]
    return made


def _norm(name: str, drawn: Callable[..., torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + drawn(WIDTH), f"{name}.bias": drawn(WIDTH)}


def pieces(kind: str = "bpe") -> tuple[bytes, Any]:
    """A SentencePiece model as fairseq's users train it, with its own three special tokens."""
    return trained_pieces(SENTENCES, kind, 150, unk_id=0, bos_id=1, eos_id=2)


def words_of(content: Any) -> list[str]:
    """The pieces of a SentencePiece model in another order, as `fairseq-preprocess` counts them, and what it adds."""
    words = [each.piece for each in content.pieces[3:]]
    return [*sorted(words, key=lambda word: (hash_of(word), word)), "madeupword0000", "madeupword0001"]


def hash_of(word: str) -> int:
    return sum(word.encode()) % 97


def written(
    folder: Path,
    kind: str = "bpe",
    *,
    left_out: int = 0,
    share_all: bool = False,
    dtype: torch.dtype = torch.float32,
    pack: Callable[[dict[str, Any]], dict[str, Any]] = lambda chosen: {"args": argparse.Namespace(**chosen)},
    **changed: Any,
) -> Path:
    """A checkpoint with its dictionary and its SentencePiece model beside it.

    Args:
        folder: is made.
        kind: of the SentencePiece model.
        left_out: pieces that the dictionary lacks.
        share_all: `--share-all-embeddings`.
        dtype: of the weights.
        pack: how the options are kept.
        changed: options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw, content = pieces(kind)
    words = words_of(content)[left_out:]
    (folder / "spm.model").write_bytes(raw)
    (folder / "dict.txt").write_text("".join(f"{word} 100\n" for word in words), encoding="utf-8")
    chosen = options(share_all_embeddings=share_all, **changed)
    normed = bool(changed.get("layernorm_embedding"))
    rows = 4 + len(words) + len(LANGUAGES)
    model = state(rows, share_all=share_all, dtype=dtype, layernorm_embedding=normed)
    extra = {"train_iterator": {"epoch": 3}, "val_loss": 2.5}
    content = pack(chosen) | {"model": model, "extra_state": extra, "optimizer_history": [{"num_updates": 7}]}
    torch.save(content, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def logits(
    tensors: dict[str, torch.Tensor], sources: torch.Tensor, targets: torch.Tensor, *, scale: bool = True
) -> torch.Tensor:
    """What fairseq's Transformer gives in evaluation, in float64: pre-norm, sinusoidal positions, padding is 1.

    Embeddings are normalised if there are weights of their norms (`--layernorm-embedding`).

    Args:
        tensors: by fairseq's names.
        sources: `[batch, source]`.
        targets: `[batch, target]`, what the decoder reads (`prev_output_tokens`).
        scale: without `--no-scale-embedding`.

    Returns:
        `[batch, target, rows]`.
    """
    weights = {name: tensor.double() for name, tensor in tensors.items()}
    factor = math.sqrt(WIDTH) if scale else 1.0
    padding = (sources == 1)[:, None, None, :]
    future = torch.ones(targets.shape[1], targets.shape[1], dtype=torch.bool).triu(1)

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        return functional.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, values: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(values, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def attend(name: str, query: torch.Tensor, key: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            linear(f"{name}.{one}_proj", values).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for one, values in (("q", query), ("k", key), ("v", key))
        )
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        found = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
        return linear(f"{name}.out_proj", found.transpose(1, 2).flatten(2))

    def ffn(layer: str, values: torch.Tensor) -> torch.Tensor:
        inner = linear(f"{layer}.fc1", norm(f"{layer}.final_layer_norm", values)).relu()
        return values + linear(f"{layer}.fc2", inner)

    def embedded(part: str, ids: torch.Tensor) -> torch.Tensor:
        found = factor * weights[f"{part}.embed_tokens.weight"][ids] + _positions(ids)
        return norm(f"{part}.layernorm_embedding", found) if f"{part}.layernorm_embedding.weight" in weights else found

    read = embedded("encoder", sources)
    for number in range(LAYERS):
        layer = f"encoder.layers.{number}"
        normed = norm(f"{layer}.self_attn_layer_norm", read)
        read = ffn(layer, read + attend(f"{layer}.self_attn", normed, normed, padding))
    read = norm("encoder.layer_norm", read)
    state = embedded("decoder", targets)
    for number in range(LAYERS):
        layer = f"decoder.layers.{number}"
        normed = norm(f"{layer}.self_attn_layer_norm", state)
        state = state + attend(f"{layer}.self_attn", normed, normed, future)
        normed = norm(f"{layer}.encoder_attn_layer_norm", state)
        state = ffn(layer, state + attend(f"{layer}.encoder_attn", normed, read, padding))
    return norm("decoder.layer_norm", state) @ weights["decoder.output_projection.weight"].T


def _positions(ids: torch.Tensor) -> torch.Tensor:
    """Sine and cosine of positions that begin at 2; padding has none."""
    half = WIDTH // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float64) * -(math.log(10000) / (half - 1)))
    kept = (ids != 1).long()
    places = ((kept.cumsum(1) + 1) * kept).double()
    angles = places[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1) * kept[..., None]
