"""Whether the trainings of a recipe fit the memory of this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from neuronspec.core.errors import Mistakes
from neuronspec.core.processes import launched
from neuronspec.models.dimensions import Dimensions
from neuronspec.models.footprint import Plan, Room, footprint, readable_size, room
from neuronspec.models.id_map import IdMap
from neuronspec.models.pretrained import config_of
from neuronspec.recipe import Recipe
from neuronspec.specialization.settings import untrained_tokens
from neuronspec.training.settings import TrainingSettings


def memory_problem(
    recipe: Recipe, section: str, found: Room | None = None, tokenizer: Path | None = None
) -> str | None:
    """Why a training may not fit the memory of the device that it would run on; None where it does.

    Args:
        recipe: names the model and how it is trained.
        section: `training` or `continuation`.
        found: the memory; that of this machine without it.
        tokenizer: the folder of the run's tokenizer, if it is known by now how large a vocabulary is left.

    Raises:
        Mistakes: weights, gradients and the optimizer's state alone are more than the device has.
    """
    settings: TrainingSettings | None = getattr(recipe, section)
    if settings is None:
        return None
    change = None if tokenizer is None or recipe.model.pretrained is None else IdMap.load(tokenizer)
    shape = _dimensions(recipe, change)
    if shape is None:
        return None
    trimmed_later = recipe.model.trim_vocabulary and change is None
    needed = footprint(shape, _plan(recipe, section, settings))
    state, batch, sharded = needed.fixed, needed.activations, settings.parallel == "fsdp"
    if sharded and launched():
        state //= int(os.environ["WORLD_SIZE"])
    found = found or room()
    if state + batch <= found.free:
        return None
    text = (
        f"{section} needs about {readable_size(state)} for weights, gradients and the state of {settings.optimizer} "
        f"({shape.parameters / 1e6:,.0f} million parameters, {needed.trained / 1e6:,.0f} of them trained), "
        f"and about {readable_size(batch)} for a micro-batch of "
        f"{settings.batch_tokens} tokens (batch_tokens); {found.where} has {readable_size(found.total)} of memory"
    )
    if trimmed_later:
        text += "; with model.trim_vocabulary it is less, and how much is known once the text is prepared"
    elif state > found.total and (launched() or not sharded):
        smaller = "model, tokenizer.vocabulary"
        if recipe.model.pretrained is not None:
            smaller = "another checkpoint" if recipe.model.trim_vocabulary else "model.trim_vocabulary: true"
        raise Mistakes(f"{text}, too little for the model alone: make it smaller ({smaller})")
    share = "; parallel: fsdp shares the first among its processes" if sharded and not launched() else ""
    return (
        f"{text}, of which {readable_size(found.free)} are free: a smaller batch_tokens with more accumulation, or "
        f"gradient_checkpointing: true, takes less{share}"
    )


def _dimensions(recipe: Recipe, change: IdMap | None) -> Dimensions | None:
    """The sizes of a recipe's model, with the vocabulary that it gets; None where they can't be told."""
    model = recipe.model
    if recipe.tokenizer.path is not None:
        return None
    if model.pretrained is None:
        return Dimensions.of_settings(model, recipe.tokenizer.vocabulary + len(recipe.corpus.all_languages))
    shape = Dimensions.of_config(config_of(model))
    if shape is None:
        return None
    return replace(shape, vocabulary=shape.vocabulary + model.new_tokens if change is None else len(change.ids))


def _plan(recipe: Recipe, section: str, settings: TrainingSettings) -> Plan:
    """How a section of a recipe trains, as far as memory depends on it."""
    trainable = recipe.specialization.trainable if section == "continuation" else "all"
    return Plan(
        settings.batch_tokens,
        settings.optimizer,
        recipe.model.dtype,
        trainable,
        rows=0 if trainable == "all" else untrained_tokens(recipe.model, recipe.training),
        freeze_embeddings=settings.freeze_embeddings,
        checkpointing=settings.gradient_checkpointing,
    )
