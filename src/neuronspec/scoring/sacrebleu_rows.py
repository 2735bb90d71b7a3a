"""A sacreBLEU metric's score of a test set together with its statistics by sentence.

sacreBLEU has no public way to the statistics, so two private functions are used, here and nowhere else; pyproject.toml
has an upper bound on its version, and tests compare with sacreBLEU's own command.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuronspec.scoring.score import Computed, Lines


def computed_by(metric: Any, lines: Lines) -> Computed:
    """The score, the signature and the statistics.

    Args:
        metric: of `sacrebleu.metrics`.
        lines: of the test set.
    """
    rows = metric._extract_corpus_statistics(lines.hypotheses, [lines.references])
    value = float(metric._aggregate_and_compute(rows).score)
    return Computed(value, metric.get_signature().format(), np.array(rows, dtype=np.float64))
