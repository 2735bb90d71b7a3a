"""COMET (Rei et al., 2022) as a score. `neuronspec.scoring.comet` computes it, for all arms at once."""

from __future__ import annotations

import numpy as np

from neuronspec.scoring.score import Metric
from neuronspec.scoring.statistics import Rows, Values


class Comet(Metric):
    """The mean of the sentences' scores."""

    label = "COMET"
    digits = 4
    scale = "about 0 to 1, higher is better"

    def values(self, sums: Rows) -> Values:
        """The mean from the sum of the sentences' scores and their number."""
        return np.asarray(sums[:, 0] / sums[:, 1])
