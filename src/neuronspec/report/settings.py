"""The recipe's settings of the report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Added, Positive, Section
from neuronspec.report.registry import PUBLISHED


class ReportSettings(Section):
    """What the report shows."""

    samples: Positive = Field(3, description="sample translations per direction")
    reference: Annotated[Annotated[str, OneOf(PUBLISHED)] | None, Added()] = Field(
        None, description="published results that are drawn beside those of the run, labelled as published: ec30"
    )
