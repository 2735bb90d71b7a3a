"""The recipe's settings of recording and selection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neuronspec.core.settings import Positive, Section

Coverage = Annotated[float, Field(gt=0, le=1)]


class RecordingSettings(Section):
    """Which text the neurons are recorded on."""

    split: Literal["valid", "train"] = Field("valid", description="the split that is read, under teacher forcing")
    sentences: Positive = Field(1000, description="sentences a direction, at most")


CoverageKey = Literal[
    "encoder", "decoder", "encoder/out", "encoder/into", "encoder/other", "decoder/out", "decoder/into", "decoder/other"
]


class SelectionSettings(Section):
    """How specialized neurons are selected from the recorded activations."""

    criterion: Literal["cumulative", "top_fraction"] = Field(
        "cumulative",
        description="cumulative: cover a share of the activation; top_fraction: the same share of every site",
    )
    coverage: Coverage | dict[CoverageKey, Coverage] = Field(
        0.95,
        description="k of cumulative: share of the activation that the selected neurons must cover; one number, or "
        "numbers for encoder and decoder, also by way past the pivot: {encoder: 0.9, decoder/out: 0.95, decoder: 0.9}",
    )
    fraction: Coverage | None = Field(None, description="share of neurons that top_fraction selects")
    statistic: Literal["count", "magnitude"] = Field(
        "count", description="count: positive activations; magnitude: the sum of |value|"
    )
    granularity: Literal["direction", "language", "family"] = Field(
        "direction",
        description="what activations are summed over; language: the source's in the encoder, the target's in the "
        "decoder",
    )

    @model_validator(mode="after")
    def _check_fraction(self) -> SelectionSettings:
        if (self.fraction is not None) != (self.criterion == "top_fraction"):
            raise ValueError("fraction belongs to criterion top_fraction, which needs it; cumulative has coverage")
        return self
