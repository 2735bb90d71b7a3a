"""The recipe's settings of the tokenizer and of the model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from neuronspec.core.errors import DirectionError, RecipeError
from neuronspec.core.languages import canonical
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import MANY, Added, Positive, RecipePath, Section
from neuronspec.models.presets import PRESETS, shape_problem
from neuronspec.models.prompts import checked_prompt

_PRESET = "small"
_BUILT = ("share_embeddings", "init")
"""Fields that say how a new model is built, and are none of its configuration's."""
TOKENIZED_BY = ("languages", "prompt", "chat", "new_languages", "trim_vocabulary", "extend_vocabulary")
"""Fields that say how the sentences of a pretrained model are tokenized."""

OF_PRETRAINED = ("pretrained", "revision", "dtype", *TOKENIZED_BY)
"""Fields that are of a pretrained checkpoint alone."""

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
    normalization: Annotated[Literal["identity", "nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"], Added()] = Field(
        "identity", description="SentencePiece's rule by which text is normalised, after our own cleaning (NFC)"
    )
    path: Annotated[RecipePath | None, Added()] = Field(
        None,
        description="a ready tokenizer instead of a trained one: a SentencePiece model (BPE or unigram), which gets "
        "the languages' tags, or a folder such as another run's `data/tokenizer`; the other keys are left out",
    )

    @model_validator(mode="after")
    def _check_path(self) -> TokenizerSettings:
        given = [name for name in type(self).model_fields if name != "path" and not _is_default(self, name)]
        if self.path is not None and given:
            raise ValueError(f"{given[0]} is of a tokenizer that is trained, and path names one; leave {given[0]} out")
        return self


def _is_default(section: Section, name: str) -> bool:
    return bool(getattr(section, name) == type(section).model_fields[name].default)


class ModelSettings(Section):
    """A new M2M100 Transformer (a preset, and any field of its configuration beside it), or a pretrained checkpoint."""

    pretrained: Annotated[str | None, Added()] = Field(
        None,
        min_length=1,
        description="start from this checkpoint and its tokenizer, not from a preset: a folder (also a finished run's "
        "`base`), or a name on the Hugging Face hub that is in the cache",
    )
    revision: Annotated[str | None, Added()] = Field(
        None, description="of `pretrained` on the hub: a branch, tag or commit"
    )
    languages: Annotated[dict[str, str], Added()] = Field(
        {},
        description="how the tokenizer of `pretrained` writes a language, where it can't be told: `{pt_BR: por_Latn}`; "
        "for models that are prompted, the name of the language",
    )
    prompt: Annotated[str | None, Added()] = Field(
        None,
        description="what T5-like and decoder-only models read: `{text}`, and `{source}`, `{target}` (names), "
        "`{source_code}`, `{target_code}` or `{target_tag}`; by default chosen for the checkpoint",
    )
    chat: Annotated[bool | None, Added()] = Field(
        None,
        description="put the prompt into the tokenizer's chat template; by default where there is one and no `prompt`",
    )
    new_languages: Annotated[dict[str, str], Added()] = Field(
        {},
        description="languages that `pretrained` has no tag for, each with a related one whose tag the new tag starts "
        "as: `{nds: de}`",
    )
    trim_vocabulary: Annotated[bool, Added()] = Field(
        False, description="leave only the pieces of `pretrained` that the corpus needs, so that it is cut as before"
    )
    extend_vocabulary: Annotated[Positive | None, Added()] = Field(
        None, le=1_000_000, description="number of new pieces for what the training text has most of"
    )

    dtype: Annotated[Literal["float32", "bfloat16"], Added()] = Field(
        "float32",
        description="how the weights of `pretrained`, and of what continues from it, are held and saved; those "
        "that are trained are float32 meanwhile",
    )

    attention: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2"], Added()] = Field(
        "auto",
        description="how attention is computed in the run; auto: what is fastest on the device; flash_attention_2 "
        "needs the package flash-attn, a GPU and weights in bfloat16",
    )
    preset: Annotated[str, OneOf(PRESETS)] = Field(
        _PRESET, description="tiny (demo, CPU), small (the paper's mT-small), big (mT-big)"
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
    share_embeddings: Annotated[Literal["all", "decoder"], Added()] = Field(
        "all",
        description="of a new model, which embeddings are one table: all; or the decoder's input and output, and the "
        "encoder has its own (the paper's)",
    )
    init: Annotated[Literal["normal", "fairseq"], Added()] = Field(
        "normal",
        description="how weights of a new model are drawn: normal, from N(0, init_std); fairseq (the paper's), "
        "embeddings from it, attention by Xavier with gain 1/sqrt(2) for q, k and v, FFNs by 1/sqrt(inputs)",
    )

    @property
    def overrides(self) -> dict[str, Any]:
        """The configuration fields that the recipe sets beside the preset."""
        return self.model_dump(exclude={"preset", "attention", *_BUILT, *OF_PRETRAINED}, exclude_none=True)

    def alike(self, targets: Collection[str]) -> list[str]:
        """Languages whose tags start as that of another one.

        Args:
            targets: the languages that are translated into.
        """
        starts = {code: self.new_languages.get(code, code) for code in sorted(targets)}
        known = list(starts.values())
        return [code for code, start in starts.items() if known.count(start) > 1]

    @property
    def new_tokens(self) -> int:
        """How many tokens the vocabulary of `pretrained` gets: tags of new languages and new pieces."""
        return len(self.new_languages) + (self.extend_vocabulary or 0)

    @property
    def _of_new_model(self) -> list[str]:
        given = [name for name in ("preset", *_BUILT) if getattr(self, name) != type(self).model_fields[name].default]
        return [*self.overrides, *given]

    @field_validator("prompt")
    @classmethod
    def _check_prompt(cls, prompt: str | None) -> str | None:
        try:
            return None if prompt is None else checked_prompt(prompt)
        except RecipeError as error:
            raise ValueError(str(error)) from None

    @field_validator("pretrained")
    @classmethod
    def _resolve(cls, name: str | None, info: ValidationInfo) -> str | None:
        from neuronspec.models.pretrained import resolved

        context = info.context or {}
        return resolved(name, context.get("folder")) if name and context.get("check_files") else name

    @field_validator("languages", "new_languages")
    @classmethod
    def _canonical(cls, table: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        found: dict[str, str] = {}
        for spelling, value in table.items():
            try:
                code = canonical(spelling)
                found_value = canonical(value) if info.field_name == "new_languages" else value
            except DirectionError as error:
                raise ValueError(str(error)) from None
            if code in found:
                raise ValueError(f"{code} is named twice, once as {spelling}; leave one out")
            if not found_value.strip() or "{" in found_value:
                raise ValueError(f"{code} is {value!r}; give its tag, or its name in the prompt")
            found[code] = found_value
        return found

    @model_validator(mode="after")
    def _check_source(self) -> ModelSettings:
        if self.pretrained is None:
            given = [name for name in OF_PRETRAINED if getattr(self, name) != type(self).model_fields[name].default]
            if given:
                raise ValueError(f"{given[0]} is of a pretrained checkpoint, and none is named; set pretrained")
        elif both := self.languages.keys() & self.new_languages.keys():
            raise ValueError(f"{min(both)} is both in languages and in new_languages; leave it out of one")
        elif name := next(iter(self._of_new_model), None):
            raise ValueError(f"{name} is of a new model, and the shape of pretrained is fixed; leave {name} out")
        elif self.revision is not None and Path(self.pretrained).is_absolute():
            raise ValueError("revision is of a name on the hub, and pretrained is a folder; leave revision out")
        return self

    @model_validator(mode="after")
    def _check_shape(self) -> ModelSettings:
        problem = shape_problem(PRESETS.get(self.preset) | self.overrides)
        if problem:
            raise ValueError(problem)
        return self
