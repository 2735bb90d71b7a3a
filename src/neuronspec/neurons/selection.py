"""Selecting the specialized neurons of each direction from recorded activations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import get_args

from torch import nn

from neuronspec.core.errors import MaskError, RecipeError, nearest
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.criterion import Criterion, tree_of
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.criteria.magnitude import norms_of
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.packing import MaskInfo
from neuronspec.neurons.pooling import pool_activations
from neuronspec.neurons.registry import CRITERIA
from neuronspec.neurons.settings import Granularity, SelectionSettings, Statistic


def select_neurons(
    acts: Activations,
    criterion: Criterion,
    granularity: Granularity = "direction",
    families: Mapping[str, str] | None = None,
    model: nn.Module | None = None,
) -> NeuronMasks:
    """The neurons that each direction uses.

    Args:
        acts: recorded activations.
        criterion: such as `CumulativeActivation(0.95)`.
        granularity: what activations are summed over before selecting. `direction`: nothing. `language`: the
            encoder by the source and the decoder by the target language, so L languages need O(L) masks.
            `family`: the same by language family. There are masks for every direction all the same; equal ones
            share one tensor.
        families: the family of a language where it isn't the built-in table's.
        model: that was recorded; needed by criteria that read its weights (`WeightMagnitude`).

    Raises:
        RecipeError: an unknown granularity, or a criterion that doesn't cover the sites.
        MaskError: the activations don't fit the criterion, granularity or model, or a model is needed.
        DirectionError: no family is known for a language.

    Warns:
        UserWarning: the criterion reads counts, which mean nothing behind this model's activation.

    Examples:
        >>> masks = ns.select_neurons(acts, ns.CumulativeActivation(0.95))
        >>> masks["en-de"]["decoder.0"].dtype
        torch.bool
    """
    if granularity not in get_args(Granularity):
        raise RecipeError(f"granularity {granularity!r}: {nearest(granularity, get_args(Granularity))}")
    every = list(tree_of(criterion))
    if any(one.statistic == "count" for one in every):
        _warn_where_counts_mean_nothing(acts)
    pool = pool_activations(acts, criterion.statistic or "count", granularity, families)
    if any(one.reads_weights for one in every):
        if model is None:
            raise MaskError(f"{criterion!r} reads weights: give select_neurons the model, as model=model")
        pool = replace(pool, norms=norms_of(model, acts.widths))
    coverage = criterion.coverage if isinstance(criterion, CumulativeActivation) else None
    info = MaskInfo(
        criterion=repr(criterion),
        coverage=dict(coverage) if isinstance(coverage, Mapping) else coverage,
        granularity=granularity,
        fingerprint=acts.info.fingerprint,
    )
    return NeuronMasks(criterion.select(pool), info)


def select_masks(
    acts: Activations,
    settings: SelectionSettings,
    corpus: CorpusSettings,
    model: Callable[[], nn.Module] | None = None,
) -> NeuronMasks:
    """The masks that a recipe's settings select from activations.

    Args:
        acts: recorded activations.
        settings: the section `selection`.
        corpus: the section `corpus`, which has the pivot and the families.
        model: gives the model that was recorded; called only if the criterion reads weights.

    Raises:
        MaskError: the activations don't fit the criterion or granularity.
    """
    settings = settings.model_copy(update={"statistic": statistic_of(acts, settings)})
    criterion = CRITERIA.get(settings.criterion).from_settings(settings, corpus.pivot)
    needed = any(one.reads_weights for one in tree_of(criterion))
    return select_neurons(
        acts, criterion, settings.granularity, families_of(corpus), model() if model and needed else None
    )


def statistic_of(acts: Activations, settings: SelectionSettings) -> Statistic:
    """What a recipe's neurons are selected by: the statistic that it names, or the one that fits the model."""
    return acts.statistic if settings.statistic == "auto" else settings.statistic


def families_of(corpus: CorpusSettings) -> dict[str, str]:
    """The family of each language of a recipe, the pivot's among them."""
    return {code: corpus.family(code) for code in corpus.all_languages}


def _warn_where_counts_mean_nothing(acts: Activations) -> None:
    unfit = [site for site in acts.info.sites if not site.counts_mean_firing]
    if unfit:
        kind = f"{'gated ' if unfit[0].gated else ''}{unfit[0].activation}"
        warnings.warn(
            f"{len(unfit)} of {len(acts.info.sites)} FFN sites are {kind}: a value > 0 doesn't mean that the neuron "
            'fired there, so counts say little; use statistic="magnitude"',
            UserWarning,
            stacklevel=3,
        )
