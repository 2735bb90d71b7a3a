"""How a step is computed: the recipe's settings for memory and compilation, put on the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.core.errors import TrainingError
from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.trained import Widened, freeze_embeddings


def prepare_step(model: PreTrainedModel, settings: TrainingSettings) -> Widened:
    """Switch on what `settings` ask for; call it once, on the device that the model trains on, before wrapping it.

    - `freeze_embeddings`: the tables of the vocabulary aren't trained.
    - `gradient_checkpointing`: layers keep their input alone and are computed again in the backward pass.
    - `compile`: `torch.compile` on each layer, for batches of any size; see `compiling`. The names of parameters stay.

    Returns:
        The model with its trained parameters in float32.

    Raises:
        TrainingError: the model has no gradient checkpointing; or compilation is asked for on a CPU, where it takes a
            minute and gains nothing.
    """
    check_compilation(settings, model.device)
    if settings.compile:
        for layer in _layers(model):
            layer.compile(dynamic=True)
    if settings.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise TrainingError(
            f"training.gradient_checkpointing is true, but {model.config.model_type} models have none in this version "
            "of transformers: set it to false, and lower batch_tokens if memory is short"
        )
    checkpoint_activations(model, settings.gradient_checkpointing)
    if settings.freeze_embeddings:
        freeze_embeddings(model)
    return Widened(model)


def check_compilation(settings: TrainingSettings, device: torch.device, section: str = "training") -> None:
    """Check that compilation isn't asked for on a CPU, where it takes a minute and gains nothing.

    Args:
        settings: of the training.
        device: that the model trains on.
        section: of the recipe that has the settings.

    Raises:
        TrainingError: it is.
    """
    if settings.compile and device.type == "cpu":
        raise TrainingError(
            f"{section}.compile is true, but the model is on a CPU, where it gains nothing: set it to false"
        )


@contextmanager
def compiling(settings: TrainingSettings) -> Iterator[None]:
    """The context of a training whose layers are compiled: what is compiled serves all batches.

    - All kinds of layers have the same outermost function in transformers, and share its limit of 8 graphs: encoder
      and decoder, in training and validation, with padding and without, with few neurons or all. Beyond it layers would
      not be compiled.
    - Two sizes that happen to be the same in the first batch, such as the lengths of both sides, are two sizes.
    """
    if not settings.compile:
        yield
        return
    from torch._dynamo import config as dynamo
    from torch.fx.experimental import _config

    shapes: Any = _config
    with dynamo.patch(recompile_limit=MOST_GRAPHS), shapes.patch(use_duck_shape=False):
        yield


MOST_GRAPHS = 64
"""Of all kinds of layers together."""


def finish_step(model: PreTrainedModel) -> None:
    """Undo `prepare_step`."""
    checkpoint_activations(model, False)
    for layer in _layers(model):
        vars(layer)["_compiled_call_impl"] = None


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    """The repeated layers of a model: compiled one by one, layers of a kind share what is compiled."""
    kinds = set(model._no_split_modules or ())
    return [layer for layer in model.modules() if type(layer).__name__ in kinds]
