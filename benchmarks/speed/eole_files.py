"""The corpus and configuration of Eole: the same pieces as words of a text, the same shape, the same settings.

What it can't say: the forced language tag counts as a target token to learn (one a sentence; it isn't counted in the
rate); batches mix directions; keys and values have the biases of all projections or none. Its bf16 is autocast with
float32 weights, as everywhere here.
"""

from __future__ import annotations

import random
from pathlib import Path

import yaml

from neuronspec.corpus.store import TokenStore
from neuronspec.models.settings import ModelSettings
from speed import shapes
from speed.pairs import some_pairs


def write_files(store: TokenStore, model: ModelSettings, batch_tokens: int, precision: str, folder: Path) -> Path:
    """Write text, vocabulary and configuration into `folder`; returns the configuration's path."""
    folder.mkdir(parents=True)
    lines = [
        (f"<{pair.source}> {_words(source)}\n", f"<{pair.target}> {_words(target)}\n")
        for pair, source, target in some_pairs(store)
    ]
    random.Random(1).shuffle(lines)
    for side, name in enumerate(("source", "target")):
        (folder / f"{name}.txt").write_text("".join(line[side] for line in lines), encoding="utf-8")
    languages = sorted({code for pair in store.directions("train") for code in (pair.source, pair.target)})
    words = [f"p{piece}" for piece in range(len(store.tokenizer))] + [f"<{code}>" for code in languages]
    (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    path = folder / "eole.yaml"
    path.write_text(yaml.safe_dump(configuration(model, batch_tokens, precision, folder)))
    return path


def _words(pieces: object) -> str:
    return " ".join(f"p{piece}" for piece in pieces)  # type: ignore[attr-defined]


def configuration(model: ModelSettings, batch_tokens: int, precision: str, folder: Path) -> dict[str, object]:
    vocabulary = str(folder / "vocabulary.txt")
    return {
        "data": {"corpus": {"path_src": str(folder / "source.txt"), "path_tgt": str(folder / "target.txt")}},
        "src_vocab": vocabulary,
        "tgt_vocab": vocabulary,
        "share_vocab": True,
        "seed": 1,
        "report_every": 100,
        "training": {
            "model_path": str(folder / "model"),
            "world_size": 0,
            "gpu_ranks": [],
            "compute_dtype": {"float32": "fp32"}.get(precision, precision),
            "use_amp": precision == "bf16",
            "optim": "adamw",
            "learning_rate": 2.0,
            "decay_method": "noam",
            "warmup_steps": shapes.WARMUP,
            "adam_beta1": shapes.BETAS[0],
            "adam_beta2": shapes.BETAS[1],
            "adam_eps": shapes.EPSILON,
            "max_grad_norm": shapes.CLIP,
            "label_smoothing": shapes.SMOOTHING,
            "dropout": [0.1],
            "attention_dropout": [0.1],
            "batch_type": "tokens",
            "batch_size": batch_tokens,
            "normalization": "tokens",
            "bucket_size": 65536,
            "num_workers": 0,
            "train_steps": 10**6,
            "save_checkpoint_steps": 10**6,
        },
        "model": {
            "architecture": "transformer",
            "layers": model.encoder_layers or 6,
            "hidden_size": model.d_model or 512,
            "transformer_ff": model.encoder_ffn_dim,
            "heads": model.encoder_attention_heads,
            "mlp_activation_fn": "relu",
            "add_qkvbias": True,
            "add_final_linear_bias": True,
            "add_ffnbias": True,
            "layer_norm": "standard",
            "share_embeddings": True,
            "share_decoder_embeddings": True,
            "embeddings": {"word_vec_size": model.d_model or 512, "position_encoding_type": "SinusoidalInterleaved"},
        },
    }
