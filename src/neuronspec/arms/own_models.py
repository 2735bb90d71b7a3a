"""Arms with a model of its own for each direction: nothing is shared, so nothing is transferred."""

from __future__ import annotations

import statistics
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from neuronspec.arms.arm import Arm, Cost, Given, Method, budget, cost_of, go_on
from neuronspec.arms.swap import one_direction, swapped
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, nearest
from neuronspec.models.load import load_model
from neuronspec.training.loss import InDirection
from neuronspec.training.precision import peak_memory
from neuronspec.training.settings import TrainingSettings


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
    def new_model(self, given: Given) -> PreTrainedModel:
        """What each direction's training starts from."""

    def train(self, given: Given) -> Cost:
        settings = self.settings(given)
        for direction, own in settings.items():
            model = self.new_model(given)
            go_on(given, model, settings=own, directions=[direction], folder=given.folder / str(direction))
        return _cost(given, model, [given.folder / str(direction) for direction in settings])

    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        folders = {direction: given.folder / str(direction) for direction in self.directions(given.recipe)}
        model = load_model(next(iter(folders.values())))
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
        direction = one_direction(asked)
        if direction not in self._folders:
            raise DirectionError(f"no model for direction {direction}; {nearest(str(direction), self._names)}")
        if self._kept is None or self._kept[0] != direction:
            self._kept = None  # its memory first
            own = load_model(self._folders[direction], self._model.device)
            self._kept = direction, {name: parameter.detach() for name, parameter in own.named_parameters()}
        return swapped(self._model, self._kept[1])

    @property
    def _names(self) -> list[str]:
        return [str(direction) for direction in self._folders]


def _cost(given: Given, model: PreTrainedModel, folders: Sequence[Path]) -> Cost:
    """The cost of all models together; an update takes the median over them."""
    size = sum(parameter.numel() for parameter in model.parameters())
    seconds = [cost_of(given, model, folder=folder).update_seconds for folder in folders]
    known = [one for one in seconds if one is not None]
    return Cost(
        trained_parameters=len(folders) * size,
        extra_parameters=(len(folders) - 1) * size,
        prepare_seconds=0.0,
        update_seconds=statistics.median(known) if known else None,
        peak_memory=peak_memory(model),
    )
