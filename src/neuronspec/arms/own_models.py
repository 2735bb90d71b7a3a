"""Arms with a model of its own for each direction: nothing is shared, so nothing is transferred.

`finetune` trains a copy of the baseline on each direction alone. It is the most that specialization can be, at the
cost of a model for each direction and of all transfer between them from the baseline on. `bilingual` trains new models
for single directions, which never saw any other text.
"""

from __future__ import annotations

import math
import statistics
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from neuronspec.arms.arm import Arm, Cost, Given, Method, continue_training, cost_of
from neuronspec.arms.continued import start_continued
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, RecipeError, nearest
from neuronspec.core.processes import processes
from neuronspec.recipe import Recipe
from neuronspec.training.settings import TrainingSettings, budget

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from neuronspec.training.loss import InDirection
    from neuronspec.training.trained import Part


class OwnModels(Arm):
    """A model for each direction, in the folder of that name below the arm's.

    The loaded model has the weights of the first direction, and those of any other inside of its context. Directions
    without a model (zero-shot) can't be translated. CTranslate2 would convert one model for all, so the translations
    are made by `transformers`.
    """

    composes: ClassVar[bool] = False
    converts: ClassVar[bool] = False
    extends: ClassVar[bool] = False  # a direction's warm-up depends on its part of the budget

    @abstractmethod
    def settings(self, given: Given) -> Mapping[Direction, TrainingSettings]:
        """How each direction's model is trained."""

    @abstractmethod
    def new_model(self, given: Given) -> tuple[PreTrainedModel, dict[str, Part]]:
        """What each direction's training starts from, and the parameters that are trained in part."""

    def folder(self, given: Given, direction: Direction) -> Path:
        """Where the model of a direction is."""
        return given.folder / str(direction)

    def train(self, given: Given) -> Cost:
        """Train one model after the other; see `Arm.train`."""
        settings = self.settings(given)
        for direction, own in settings.items():
            model, parts = self.new_model(given)
            folder = given.folder / str(direction)
            continue_training(given, model, settings=own, directions=[direction], folder=folder, parts=parts)
        kept = {self.folder(given, direction) for direction in self.directions(given.recipe)}
        return _cost(given, model, parts, [given.folder / str(direction) for direction in settings], len(kept))

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """Load the models of all directions as one; see `Arm.load`."""
        from neuronspec.models.load import load_model

        folders = {direction: self.folder(given, direction) for direction in self.directions(given.recipe)}
        model = load_model(next(iter(folders.values())), dtype="auto")
        return model, _WithOwnWeights(model, folders)


def alone(settings: TrainingSettings, updates: int) -> TrainingSettings:
    """The settings for one direction by itself: another budget, the warm-up within it, no weights of directions."""
    return budget(settings, updates, warmup=min(settings.warmup, updates), weights=None)


class _WithOwnWeights:
    """The context of a direction: its own weights, read when they are asked for; the last ones are kept."""

    def __init__(self, model: PreTrainedModel, folders: Mapping[Direction, Path]) -> None:
        self._model, self._folders = model, folders
        self._kept: tuple[Direction, dict[str, torch.Tensor]] | None = None

    def __call__(self, asked: Direction | Sequence[Direction]) -> AbstractContextManager[Any]:
        from neuronspec.arms.swap import one_direction, swapped
        from neuronspec.models.load import load_model

        direction = one_direction(asked)
        if direction not in self._folders:
            raise DirectionError(f"no model for direction {direction}; {nearest(str(direction), self._names)}")
        if self._kept is None or self._kept[0] != direction:
            self._kept = None  # its memory first
            own = load_model(self._folders[direction], self._model.device, dtype="auto")
            self._kept = direction, {name: parameter.detach() for name, parameter in own.named_parameters()}
        return swapped(self._model, self._kept[1])

    @property
    def _names(self) -> list[str]:
        return [str(direction) for direction in self._folders]


def _cost(given: Given, model: PreTrainedModel, parts: Mapping[str, Part], folders: Sequence[Path], kept: int) -> Cost:
    """The cost of all models together, of which `kept` are needed; an update takes the median over them."""
    from neuronspec.training.memory import peak_memory

    size = sum(parameter.numel() for parameter in model.parameters())
    costs = [cost_of(given, model, folder=folder, parts=parts) for folder in folders]
    known = [one.update_seconds for one in costs if one.update_seconds is not None]
    return Cost(
        trained_parameters=sum(one.trained_parameters for one in costs),
        extra_parameters=(kept - 1) * size,
        prepare_seconds=0.0,
        update_seconds=statistics.median(known) if known else None,
        peak_memory=peak_memory(model),
    )


class Finetune(OwnModels):
    """The baseline, trained on for each direction by itself; over all directions, the continuation's budget.

    A direction that arms don't train on has the baseline itself.
    """

    sections: ClassVar[tuple[str, ...]] = ("continuation", "specialization.trainable")

    def folder(self, given: Given, direction: Direction) -> Path:
        """Where the model of a direction is."""
        return super().folder(given, direction) if direction in given.adapted else given.base

    def new_model(self, given: Given) -> tuple[PreTrainedModel, dict[str, Part]]:
        """Give a copy of the baseline."""
        return start_continued(given)

    def settings(self, given: Given) -> dict[Direction, TrainingSettings]:
        """The continuation's, whose budget is divided by how often each direction would be drawn in it."""
        from neuronspec.batching.stream import TrainingBatches
        from neuronspec.models.text_format import TextFormat
        from neuronspec.training.progress_state import Budget

        whole = given.recipe.continuation
        text_format = TextFormat.of(given.store.tokenizer, given.directions)
        batches = TrainingBatches(given.store, given.adapted, text_format, whole, given.seed)
        updates = Budget.of(whole, batches, whole.accumulation * processes().size).updates
        if updates is not None:
            parts = divided(updates, batches.drawn)
            return {direction: alone(whole, part) for direction, part in parts.items()}
        assert whole.minutes is not None
        return {
            direction: whole.model_copy(update={"minutes": whole.minutes * share, "weights": None})
            for direction, share in batches.drawn.items()
        }


def divided(updates: int, shares: Mapping[Direction, float]) -> dict[Direction, int]:
    """Divide updates among directions in proportion to shares.

    Args:
        updates: the whole budget.
        shares: by direction, summing to 1.

    Returns:
        Whole numbers that sum to `updates`, each at least 1 (all 1 where there are fewer updates than directions).
    """
    parts = {direction: max(1, math.floor(updates * share)) for direction, share in shares.items()}

    def missing(direction: Direction) -> float:
        return updates * shares[direction] - parts[direction]

    while sum(parts.values()) < updates:
        parts[max(sorted(parts), key=missing)] += 1
    while sum(parts.values()) > max(updates, len(parts)):
        parts[min(sorted(one for one in parts if parts[one] > 1), key=missing)] -= 1
    return parts


class Bilingual(OwnModels):
    """A model of the recipe's shape for each chosen direction, trained from scratch as the baseline is.

    The training section gives all settings but the budget, which is `baselines.bilingual.updates`. The seed is that of
    the arms, also of the new weights.
    """

    needs: ClassVar[tuple[str, ...]] = ("prepare",)
    sections: ClassVar[tuple[str, ...]] = ("model", "training", "baselines.bilingual", "continuation.seed")

    def new_model(self, given: Given) -> tuple[PreTrainedModel, dict[str, Part]]:
        """Give a new model of the recipe's shape, which is trained whole."""
        from neuronspec.models.load import build_model

        return build_model(given.recipe.model, given.store.tokenizer, given.seed), {}

    def settings(self, given: Given) -> dict[Direction, TrainingSettings]:
        """Give the training section's settings with the budget of `baselines.bilingual`, by direction."""
        chosen, training = given.recipe.baselines.bilingual, given.recipe.training
        if not chosen.directions or chosen.updates is None or training is None:
            raise RecipeError("the arm bilingual needs training, and baselines.bilingual.directions and .updates")
        return {direction: alone(training, chosen.updates) for direction in chosen.chosen}

    def directions(self, recipe: Recipe) -> list[Direction]:
        """Give the directions that have a model."""
        return recipe.baselines.bilingual.chosen
