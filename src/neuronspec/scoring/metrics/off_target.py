"""The off-target rate: translations that `scoring.langid` takes for another language than the one asked for."""

from __future__ import annotations

from neuronspec.scoring.score import Metric


class OffTarget(Metric):
    """The rate of the translations."""

    label = "off-target %"
    scale = "percent of the translations, lower is better"


class OffTargetReference(Metric):
    """The rate of the references, which says how often the identifier is wrong."""

    label = "of references %"
    scale = "percent of the references: the identifier's own mistakes"
