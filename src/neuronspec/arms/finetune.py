"""Arm `finetune`: a copy of the baseline for each direction, trained on that direction alone.

It is the most that specialization can be, at the cost of a model for each direction and of all transfer between them
from the baseline on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from transformers import PreTrainedModel

from neuronspec.arms.arm import Given, start
from neuronspec.arms.own_models import OwnModels, alone
from neuronspec.batching.stream import TrainingBatches
from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.models.text_format import TextFormat
from neuronspec.training.progress_state import Budget
from neuronspec.training.settings import TrainingSettings


class Finetune(OwnModels):
    """The baseline, trained on for each direction by itself; over all directions, the continuation's budget."""

    def new_model(self, given: Given) -> PreTrainedModel:
        return start(given)

    def settings(self, given: Given) -> dict[Direction, TrainingSettings]:
        """The continuation's, whose budget is divided by how often each direction would be drawn in it."""
        whole = given.recipe.continuation
        batches = TrainingBatches(
            given.store,
            given.directions,
            TextFormat.of(given.store.tokenizer, given.directions),
            batch_tokens=whole.batch_tokens,
            temperature=whole.temperature,
            seed=given.seed,
            weights=whole.weights,
            mixed=whole.mix_directions,
        )
        updates = Budget.of(whole, batches, whole.accumulation * processes().size).updates
        if updates is not None:
            parts = divided(updates, batches.probabilities)
            return {direction: alone(whole, part) for direction, part in parts.items()}
        assert whole.minutes is not None
        return {
            direction: whole.model_copy(update={"minutes": whole.minutes * share, "weights": None})
            for direction, share in batches.probabilities.items()
        }


def divided(updates: int, shares: Mapping[Direction, float]) -> dict[Direction, int]:
    """`updates` divided in proportion to `shares`, which sum to 1: whole numbers that sum to it, each at least 1.

    Where there are fewer updates than directions, each gets 1.
    """
    parts = {direction: max(1, math.floor(updates * share)) for direction, share in shares.items()}

    def missing(direction: Direction) -> float:
        return updates * shares[direction] - parts[direction]

    while sum(parts.values()) < updates:
        parts[max(sorted(parts), key=missing)] += 1
    while sum(parts.values()) > max(updates, len(parts)):
        parts[min(sorted(one for one in parts if parts[one] > 1), key=missing)] -= 1
    return parts
