"""The recipe's settings of recording and selection."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from neuronspec.core.errors import RecipeError
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Added, Positive, Section
from neuronspec.neurons.registry import CRITERIA

Statistic: TypeAlias = Literal["count", "magnitude"]
Positions: TypeAlias = Literal["both", "prompt", "continuation"]
Granularity: TypeAlias = Literal["direction", "language", "family"]
Coverage = Annotated[float, Field(gt=0, le=1)]


class RecordingSettings(Section):
    """Which text the neurons are recorded on."""

    split: Literal["valid", "train"] = Field("valid", description="the split that is read, under teacher forcing")
    sentences: Positive = Field(1000, description="sentences per direction, at most")
    positions: Annotated[Positions, Added()] = Field(
        "both",
        description="of a model without an encoder: the tokens that count, those of the prompt with the source, those "
        "of the continuation (the translation), or both",
    )
    count_padding: Annotated[bool, Added()] = Field(
        False, description="padding counts as if it were text, as in the paper's scripts; batches then matter"
    )
    precision: Annotated[Literal["auto", "bf16", "float32"], Added()] = Field(
        "auto",
        description="auto: bf16 autocast on a GPU that has it in hardware, else the type of the weights",
    )


CoverageKey = Literal[
    "encoder", "encoder/out", "encoder/into", "encoder/other",
    "decoder", "decoder/out", "decoder/into", "decoder/other",
    "layers", "layers/out", "layers/into", "layers/other",
]  # fmt: skip


class UncheckedSelection(Section):
    """The keys of the section `selection`, each checked by itself."""

    criterion: Annotated[str, OneOf(CRITERIA)] = Field(
        "cumulative",
        description="the rule; see the list of criteria below",
    )
    coverage: Coverage | Annotated[dict[CoverageKey, Coverage], Field(min_length=1)] = Field(
        0.95,
        description="k of cumulative, also where random, magnitude, union and difference are made of it: share of the "
        "activation that the selected neurons must cover; one number, or numbers for encoder and decoder (layers, of a "
        "model without an encoder), also by way past the pivot: {encoder: 0.9, decoder/out: 0.95, decoder: 0.9}",
    )
    fraction: Coverage | Annotated[dict[CoverageKey, Coverage], Field(min_length=1)] | None = Field(
        None,
        description="share of neurons that top_fraction (needs it), lape (0.01 without it), exclusive and "
        "mutual_information (0.3) select; one number, or numbers by side and way as of coverage, of lape by side",
    )
    statistic: Literal["auto", "count", "magnitude"] = Field(
        "auto",
        description="count: positive activations; magnitude: the sum of |value|; auto: count where all neurons are "
        "behind a ReLU, else magnitude (GELU, SiLU, gated FFNs)",
    )
    granularity: Granularity = Field(
        "direction",
        description="what activations are summed over; language: the source's in the encoder, the target's in the "
        "decoder",
    )
    parameters: dict[str, Any] | None = Field(
        None,
        description="parameters of the criterion that have no key here: {quantile: 0.9} of lape and exclusive, {seed: "
        "2, like: lape} of random, {like: lape} of magnitude, {of: [lape, {criterion: top_fraction, fraction: 0.3}]} "
        "of union and difference, or those of a criterion of your own",
    )


class SelectionSettings(UncheckedSelection):
    """How specialized neurons are selected from the recorded activations."""

    @model_validator(mode="after")
    def _check_criterion(self) -> SelectionSettings:
        try:
            CRITERIA.get(self.criterion).from_settings(self, pivot="en")  # which pivot doesn't matter for the check
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return self
