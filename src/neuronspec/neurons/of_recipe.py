"""What a recipe records and selects: the text that neurons are recorded on, and the masks that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    from neuronspec.corpus.store import TokenStore
    from neuronspec.models.batch import Batch
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.criteria import Criterion
    from neuronspec.neurons.masks import NeuronMasks


def recording_batches(recipe: Recipe, store: TokenStore, console: Console) -> Iterator[Batch]:
    """The batches that the recipe records on, direction by direction."""
    from rich.progress import track

    from neuronspec.batching.in_order import eval_batches

    settings = recipe.recording
    directions = recipe.corpus.all_directions
    for direction in track(
        directions, description="recording", console=console, transient=True, disable=not console.is_terminal
    ):
        pairs = store.pairs(settings.split, direction)
        yield from eval_batches(pairs, direction, store.tokenizer, batch_tokens=4096, limit=settings.sentences)


def select_masks(recipe: Recipe, activations: Activations) -> NeuronMasks:
    """The masks that the recipe selects from activations."""
    from neuronspec.neurons.selection import select_neurons

    return select_neurons(activations, _criterion(recipe), recipe.selection.granularity, families_of(recipe))


def families_of(recipe: Recipe) -> dict[str, str]:
    """By language of the recipe, the pivot's among them."""
    return {code: recipe.corpus.family(code) for code in recipe.corpus.all_languages}


def _criterion(recipe: Recipe) -> Criterion:
    from neuronspec.neurons.criteria import CumulativeActivation, TopFraction

    settings = recipe.selection
    if settings.fraction is not None:
        return TopFraction(settings.fraction, statistic=settings.statistic)
    coverage: Any = settings.coverage  # keys are checked; a mapping of literals isn't one of strings to mypy
    return CumulativeActivation(coverage, statistic=settings.statistic, pivot=recipe.corpus.pivot)
