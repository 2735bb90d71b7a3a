"""The sizes of a Transformer that its memory follows from, by its configuration; no model is built for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings

_ADDED_POSITIONS = {"m2m_100": 0, "marian": 0, "mbart": 2, "bart": 2, "pegasus": 0}
"""Types whose sizes are named as BART's, and the rows that their tables of positions have in addition."""

_CAUSAL_KEPT = {"llama": 10, "mistral": 10, "qwen2": 10, "qwen3": 14}
"""Numbers as wide as the model that a decoder-only layer keeps for the backward pass; Gemma 2 keeps 18."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The layers of an encoder or a decoder.

    Args:
        layers: how many.
        ffn: parameters of the FFN of one.
        other: parameters of one without those.
        kept: numbers that one keeps for the backward pass, per token.
    """

    layers: int
    ffn: int
    other: int
    kept: int


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The sizes of a model.

    Args:
        width: of the residual stream.
        vocabulary: rows of a table of embeddings.
        tables: different tables of the vocabulary: 1 where input and output share one.
        stacks: the encoder's and the decoder's layers, or the decoder's alone.
        rest: parameters outside of tables and layers.
    """

    width: int
    vocabulary: int
    tables: int
    stacks: tuple[Stack, ...]
    rest: int

    @property
    def embeddings(self) -> int:
        """Parameters of the tables of the vocabulary."""
        return self.tables * self.vocabulary * self.width

    @property
    def ffn(self) -> int:
        """Parameters of all FFNs."""
        return sum(stack.layers * stack.ffn for stack in self.stacks)

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.embeddings + self.ffn + self.rest + sum(stack.layers * stack.other for stack in self.stacks)

    @classmethod
    def of_settings(cls, settings: ModelSettings, vocabulary: int) -> Dimensions:
        """Those of the model that `build_model` makes.

        Args:
            settings: preset and fields.
            vocabulary: its size, with tags.
        """
        fields = PRESETS.get(settings.preset) | settings.overrides | {"share_embeddings": settings.share_embeddings}
        return _bart_like(fields | {"model_type": "m2m_100", "vocab_size": vocabulary})

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Dimensions | None:
        """Those of a Hugging Face model by its config.json; None if a size isn't named as known families name it."""
        kind = str(config.get("model_type"))
        try:
            if kind in _ADDED_POSITIONS:
                return _bart_like(config)
            return _t5_like(config) if "t5" in kind else _causal(config)
        except (KeyError, TypeError):
            return None


def _bart_like(config: Mapping[str, Any]) -> Dimensions:
    width, kind = config["d_model"], config["model_type"]
    attention, norm = 4 * (width * width + width), 2 * width
    stacks = []
    for part, attentions, kept in (("encoder", 1, 12), ("decoder", 2, 20)):
        inner = config[f"{part}_ffn_dim"]
        ffn, other = 2 * width * inner + inner + width, attentions * (attention + norm) + norm
        stacks.append(Stack(config[f"{part}_layers"], ffn, other, kept * width + inner))
    # A norm ends the encoder, and another the decoder; some keep a table of positions; some norm their embeddings.
    norms = (kind not in ("bart", "marian")) + (kind in ("bart", "mbart"))
    positions = 0 if kind == "m2m_100" else config["max_position_embeddings"] + _ADDED_POSITIONS[kind]
    rest = 2 * (norms * norm + positions * width)
    tables = 2 if config.get("share_embeddings") == "decoder" else 1
    return Dimensions(width, config["vocab_size"], tables, tuple(stacks), rest)


def _t5_like(config: Mapping[str, Any]) -> Dimensions:
    width, inner, attention = config["d_model"], config["d_ff"], 4 * config["d_model"] * _heads(config, "d_kv")
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated")
    ffn, kept = (3 if gated else 2) * width * inner, (8 if gated else 3) * inner
    encoder = Stack(config["num_layers"], ffn, attention + 2 * width, kept + 18 * width)
    layers = config.get("num_decoder_layers") or config["num_layers"]
    decoder = Stack(layers, ffn, 2 * attention + 3 * width, kept + 32 * width)
    positions = 2 * config.get("relative_attention_num_buckets", 32) * config["num_heads"]
    tied = config.get("tie_word_embeddings", True) and config["model_type"] != "mt5"  # which says so, and doesn't
    return Dimensions(width, config["vocab_size"], 1 if tied else 2, (encoder, decoder), 2 * width + positions)


UNGATED = ("bloom", "gpt2", "gpt_neox", "nemotron", "opt")
"""Types of decoder-only models whose FFNs have no gate; those of encoder-decoder models with one name it."""


def _causal(config: Mapping[str, Any]) -> Dimensions:
    width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    attention = 2 * width * head * (heads + (config.get("num_key_value_heads") or heads))
    kept = _CAUSAL_KEPT.get(str(config["model_type"]), 18) * width + 4 * inner
    kind = config["model_type"]
    ffn = (2 if kind in UNGATED else 3) * width * inner + (inner + width if kind == "gpt_neox" else 0)
    stack = Stack(config["num_hidden_layers"], ffn, attention + 2 * width, kept)
    tied = config.get("tie_word_embeddings", False)
    return Dimensions(width, config["vocab_size"], 1 if tied else 2, (stack,), width)


def _heads(config: Mapping[str, Any], size: str) -> int:
    return int(config[size] * config["num_heads"])
