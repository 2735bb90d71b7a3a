"""The recipe's settings of the report."""

from __future__ import annotations

from pydantic import Field

from neuronspec.core.settings import Positive, Section


class ReportSettings(Section):
    """What the report shows."""

    samples: Positive = Field(3, description="sample translations per direction")
