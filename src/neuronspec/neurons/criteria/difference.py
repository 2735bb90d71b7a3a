"""`Difference`: the neurons that one criterion selects and others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.parts import Combination

if TYPE_CHECKING:
    from neuronspec.neurons.masks import NeuronMasks


@dataclass(frozen=True)
class Difference(Combination):
    """The neurons that the first of several criteria selects, without those that any other one selects.

    In a recipe, each is written as a name or as the keys that a criterion has in the section `selection`, whose
    coverage and statistic count where it gives none: `parameters: {of: [{criterion: top_fraction, fraction: 0.5},
    lape]}`. A direction may have no neuron at a site.

    Args:
        of: two criteria or more; each reads its own statistic.

    Raises:
        RecipeError: they aren't two criteria or more.

    Examples:
        >>> masks = ns.select_neurons(acts, ns.Difference([ns.TopFraction(0.5), ns.TopFraction(0.3)]))
        >>> masks == ns.select_neurons(acts, ns.TopFraction(0.5)) - ns.select_neurons(acts, ns.TopFraction(0.3))
        True
    """

    def combine(self, first: NeuronMasks, other: NeuronMasks) -> NeuronMasks:
        """See `Combination.combine`."""
        return first - other
