"""What an arm starts from, and what of it is trained: `specialization.trainable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronspec.arms.arm import Given, start
from neuronspec.specialization.settings import untrained_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.training.trained import Part


def start_continued(given: Given) -> tuple[PreTrainedModel, dict[str, Part]]:
    """The baseline, of which what `specialization.trainable` says is trained.

    Where that isn't everything, the embeddings of new tokens that no training has seen are trained too: the tag of a
    new language would stay that of another one, and the model could not tell the two apart.

    Returns:
        The model; and by the name of a table of the vocabulary, its rows that are trained, if not all are.
    """
    from neuronspec.models.id_map import IdMap
    from neuronspec.training.trained import train_ffns_alone, train_neurons_alone, train_rows

    model, recipe = start(given), given.recipe
    if recipe.specialization.trainable == "all":
        return model, {}
    if recipe.specialization.trainable == "ffn":
        train_ffns_alone(model)
    else:
        train_neurons_alone(model)
    change = IdMap.load(given.base) if untrained_tokens(recipe.model, recipe.training) else None
    return model, train_rows(model, change.added if change else [])


def parts_of_masks(model: PreTrainedModel, given: Given) -> dict[str, Part]:
    """What is trained of the FFNs, with `trainable: neurons`: the neurons that some trained direction selects.

    Args:
        model: specialized.
        given: of the arm.

    Returns:
        The parts by the names of the parameters; nothing if whole parameters are trained.
    """
    from neuronspec.specialization.model_state import specialization_of
    from neuronspec.training.trained import parts_of_neurons

    if given.recipe.specialization.trainable != "neurons":
        return {}
    return parts_of_neurons(model, specialization_of(model).masks.selected_by([*given.adapted, *given.replayed]))
