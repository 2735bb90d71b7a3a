"""`Union`: the neurons that at least one of several criteria selects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.neurons.criteria.parts import Combination

if TYPE_CHECKING:
    from neuronspec.neurons.masks import NeuronMasks


@dataclass(frozen=True)
class Union(Combination):
    """The neurons that at least one of several criteria selects.

    In a recipe, each is written as a name or as the keys that a criterion has in the section `selection`, whose
    coverage and statistic count where it gives none: `parameters: {of: [lape, {criterion: top_fraction, fraction:
    0.3}]}`.

    Args:
        of: two criteria or more; each reads its own statistic.

    Raises:
        RecipeError: they aren't two criteria or more.

    Examples:
        >>> masks = ns.select_neurons(acts, ns.Union([ns.LAPE(0.05), ns.TopFraction(0.3)]))
        >>> bool((ns.select_neurons(acts, ns.LAPE(0.05)) - masks)["en-de"]["decoder.0"].any())
        False
    """

    def combine(self, first: NeuronMasks, other: NeuronMasks) -> NeuronMasks:
        """See `Combination.combine`."""
        return first | other
