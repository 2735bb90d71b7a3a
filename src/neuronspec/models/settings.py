"""The recipe's settings of the tokenizer and of the model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neuronspec.core.registry import OneOf
from neuronspec.core.settings import MANY, Positive, Section
from neuronspec.models.presets import PRESETS, shape_problem

FEWEST_PIECES = 99
"""All printable ASCII characters get a piece, and so do the space and the four special tokens."""


class TokenizerSettings(Section):
    """The SentencePiece model trained on the training text."""

    type: Literal["bpe", "unigram"] = Field("bpe", description="kind of SentencePiece model")
    vocabulary: Positive = Field(
        8000, ge=FEWEST_PIECES, le=10_000_000, description="number of pieces, without language tags"
    )
    temperature: float = Field(
        5.0, ge=1, le=MANY, description="languages are sampled in proportion to size^(1/temperature)"
    )
    character_coverage: float = Field(
        1.0, ge=0.98, le=1, description="share of characters that get a piece of their own"
    )
    max_sentences: Positive = Field(2_000_000, description="sentences sampled for training the tokenizer")


class ModelSettings(Section):
    """An M2M100 Transformer: a preset, and any field of its configuration set beside it."""

    preset: Annotated[str, OneOf(PRESETS)] = Field(
        "small", description="tiny (demo, CPU), small (the paper's mT-small), big (mT-big)"
    )
    d_model: Positive | None = Field(None, le=65_536, description="width of the residual stream")
    encoder_layers: Positive | None = Field(None, le=1000)
    decoder_layers: Positive | None = Field(None, le=1000)
    encoder_ffn_dim: Positive | None = Field(None, le=1_048_576, description="FFN neurons of an encoder layer")
    decoder_ffn_dim: Positive | None = Field(None, le=1_048_576, description="FFN neurons of a decoder layer")
    encoder_attention_heads: Positive | None = Field(None, le=1024)
    decoder_attention_heads: Positive | None = Field(None, le=1024)
    activation_function: Literal["relu", "gelu", "silu"] | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    activation_dropout: float | None = Field(None, ge=0, lt=1)
    encoder_layerdrop: float | None = Field(None, ge=0, lt=1)
    decoder_layerdrop: float | None = Field(None, ge=0, lt=1)
    max_position_embeddings: Positive | None = Field(None, le=1_048_576, description="longest sequence, in tokens")
    init_std: float | None = Field(None, gt=0, le=100)
    scale_embedding: bool | None = None

    @property
    def overrides(self) -> dict[str, Any]:
        """The configuration fields that the recipe sets beside the preset."""
        return self.model_dump(exclude={"preset"}, exclude_none=True)

    @model_validator(mode="after")
    def _check_shape(self) -> ModelSettings:
        problem = shape_problem(PRESETS.get(self.preset) | self.overrides)
        if problem:
            raise ValueError(problem)
        return self
