"""How a model computes a training step, as the settings ask: checkpointed, compiled."""

from __future__ import annotations

from transformers import PreTrainedModel

from neuronspec.errors import TrainingError
from neuronspec.recipe import TrainingSettings


def prepare_step(model: PreTrainedModel, settings: TrainingSettings) -> None:
    """Switch on gradient checkpointing and `torch.compile` where the settings ask for them.

    Compiled is everything but the projection, which works off its rows in chunks. Parameters and their names stay.

    Raises:
        TrainingError: the model has no gradient checkpointing.
    """
    if settings.gradient_checkpointing:
        if not model.supports_gradient_checkpointing:
            raise TrainingError(
                f"{type(model).__name__} has no gradient checkpointing: set gradient_checkpointing: false"
            )
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.compile:
        # Lengths differ from batch to batch, and so do the widths of directions.
        model.base_model.compile(dynamic=True)


def finish_step(model: PreTrainedModel) -> None:
    """Undo `prepare_step`."""
    if model.is_gradient_checkpointing:
        model.gradient_checkpointing_disable()
    vars(model.base_model)["_compiled_call_impl"] = None
