"""Arm `lass`: each direction computed by a sub-network of single weights, found by fine-tuning and pruning.

Lin et al., 2021, "Learning Language Specific Sub-network for Multilingual Machine Translation", section 3:

1. the baseline is fine-tuned on each direction by itself;
2. the weights of smallest magnitude are left out: a share of every weight matrix of attention and FFN in the layers of
   encoder and decoder. Embeddings, layer norms and biases stay shared by all;
3. the baseline is trained on, each direction's batches computed, and their gradients masked, by its sub-network.

As in the authors' code, masks act on weights and gradients, not on the optimizer: a weight that some directions leave
out moves with the gradients of the others. A zero-shot direction has the encoder's masks of `SOURCE-PIVOT` and the
decoder's of `PIVOT-TARGET`. The masks take one bit per weight and direction, which counts as no parameter.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from neuronspec.arms.arm import Arm, Cost, Given, Method, continue_training, cost_of, start
from neuronspec.arms.own_models import alone
from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError
from neuronspec.core.processes import processes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from neuronspec.arms.weight_masks import WeightMasks
    from neuronspec.training.loss import InDirection

FINETUNED = "finetuned"
"""The folder, below the arm's, of the fine-tuned models."""


class Lass(Arm):
    """The baseline, trained on with a mask on the weights for each direction."""

    sections: ClassVar[tuple[str, ...]] = ("continuation", "baselines.lass")
    converts: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("weight_masks.safetensors",)

    def train(self, given: Given) -> Cost:
        """Find the sub-networks, then train the baseline on with them; see `Arm.train`."""
        masks = sub_networks(given)
        model = start(given)
        continue_training(given, model, InSubNetwork(model, masks))
        return cost_of(given, model, prepare_seconds=masks.info.seconds)

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """Load the model and the sub-networks of its directions; see `Arm.load`."""
        from neuronspec.arms.weight_masks import WeightMasks
        from neuronspec.models.load import load_model

        model, masks = load_model(given.folder, dtype="auto"), WeightMasks.load(_file(given))
        pivot = given.recipe.corpus.pivot
        for direction in zero_shot:
            encoder, decoder = Direction(direction.source, pivot), Direction(pivot, direction.target)
            masks = masks.compose(direction, encoder=encoder, decoder=decoder)
        return model, InSubNetwork(model, masks)


class InSubNetwork:
    """The context of a direction: the weights of its sub-network; the last direction's masks are kept unpacked."""

    def __init__(self, model: PreTrainedModel, masks: WeightMasks) -> None:
        self._model, self._masks = model, masks
        self._kept: tuple[Direction, dict[str, torch.Tensor]] | None = None

    def __call__(self, asked: Direction | Sequence[Direction]) -> AbstractContextManager[Any]:
        """Compute with the sub-network of a direction inside of the context that is returned."""
        from neuronspec.arms.swap import masked, one_direction

        direction = one_direction(asked)
        if self._kept is None or self._kept[0] != direction:
            self._kept = direction, self._masks.of(direction, self._model.device)
        return masked(self._model, self._kept[1])


def sub_networks(given: Given) -> WeightMasks:
    """The masks of all trained directions: those in the arm's folder, or found now and written there.

    Raises:
        RecipeError: the recipe doesn't say for how many updates to fine-tune.
    """
    from neuronspec.arms.weight_masks import WeightMasks, WeightMasksInfo, matrices, packed_masks

    if processes().gather(_file(given).exists())[0]:
        return WeightMasks.load(_file(given))
    settings, seconds = given.recipe.baselines.lass, 0.0
    if settings.updates is None:
        raise RecipeError("the arm lass needs baselines.lass.updates: for how long each direction is fine-tuned")
    packed = {}
    for direction in given.directions:
        model, folder = start(given), given.folder / FINETUNED / str(direction)
        own = alone(given.recipe.continuation, settings.updates)
        result = continue_training(given, model, settings=own, directions=[direction], folder=folder)
        begun = time.monotonic()
        packed[str(direction)] = packed_masks(model, settings.pruning_rate)
        seconds += result.seconds + time.monotonic() - begun
    shapes = {name: tuple(weight.shape) for name, weight in matrices(model).items()}
    info = WeightMasksInfo(directions=tuple(packed), shapes=shapes, pruning_rate=settings.pruning_rate, seconds=seconds)
    masks = WeightMasks(packed, info)
    if processes().is_main:
        masks.save(_file(given))
        for folder in (given.folder / FINETUNED).glob("*/checkpoints"):
            shutil.rmtree(folder)  # they take the most room, and nothing continues from them any more
    processes().wait()
    return masks


def _file(given: Given) -> Path:
    from neuronspec.arms.weight_masks import WEIGHT_MASKS_FILE

    return given.folder / WEIGHT_MASKS_FILE
