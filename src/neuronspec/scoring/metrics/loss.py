"""The loss on the references, which the evaluation of an arm measures with its model."""

from __future__ import annotations

from neuronspec.scoring.score import Metric


class Loss(Metric):
    """Cross-entropy under teacher forcing, without label smoothing."""

    label = "loss"
    digits = 3
    scale = "nats per target token, lower is better"
