"""Arms that go on with masks on the FFNs; they differ in where the masks come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from transformers import PreTrainedModel

from neuronspec.arms.arm import Arm, Cost, Given, Method, cost_of, go_on, start
from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.models.load import load_model
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.save import MASKS_FILE, save_masks
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.training.loss import InDirection


class Masked(Arm):
    """The baseline, trained on with masks."""

    needs: ClassVar[tuple[str, ...]] = ("train", "select")
    sections: ClassVar[tuple[str, ...]] = ("continuation", "specialization")

    @abstractmethod
    def masks(self, given: Given) -> NeuronMasks:
        """The masks of all trained directions."""

    def train(self, given: Given) -> Cost:
        model = start(given)
        in_direction = put_on(model, self.masks(given), given)
        go_on(given, model, in_direction)
        if processes().is_main:
            save_masks(model, given.folder)
        return cost_of(given, model)

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        model, masks = load_model(given.folder), NeuronMasks.load(given.folder / MASKS_FILE)
        for direction in zero_shot:
            derived = masks.for_direction(direction, given.recipe.corpus.pivot)
            masks = masks.compose(direction, encoder=derived.encoder, decoder=derived.decoder)
        return model, put_on(model, masks, given, method)


def put_on(model: PreTrainedModel, masks: NeuronMasks, given: Given, method: Method = "auto") -> InDirection:
    """Specialize `model` as the recipe says; the context of a direction, or of the directions of a batch's rows."""
    settings = given.recipe.specialization
    specialize(model, masks, semantics=settings.semantics, components=settings.components, method=method)

    def in_direction(asked: Direction | Sequence[Direction]) -> AbstractContextManager[Any]:
        return use_direction(model, asked) if isinstance(asked, Direction) else use_directions(model, asked)

    return in_direction
