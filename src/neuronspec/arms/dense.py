"""Arm `dense`: training continues without masks, which any gain must be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from neuronspec.arms.arm import Arm, Cost, Given, Method, continue_training, cost_of
from neuronspec.arms.continued import start_continued
from neuronspec.core.direction import Direction

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.training.loss import InDirection


class Dense(Arm):
    """The baseline, trained on."""

    sections: ClassVar[tuple[str, ...]] = ("continuation", "specialization.trainable")

    def train(self, given: Given) -> Cost:
        """Train the baseline on; see `Arm.train`."""
        model, parts = start_continued(given)
        continue_training(given, model, parts=parts)
        return cost_of(given, model, parts=parts)

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """Load the trained model; see `Arm.load`."""
        from neuronspec.models.load import load_model
        from neuronspec.training.loss import any_direction

        return load_model(given.folder, dtype="auto"), any_direction
