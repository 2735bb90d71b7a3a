"""Arm `top_fraction`: the most active neurons, but the same share of every layer in every direction."""

from __future__ import annotations

from neuronspec.arms.arm import Given
from neuronspec.arms.masked import Masked
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.top_fraction import TopFraction
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.selection import families_of, select_neurons


class Uniform(Masked):
    """The sparsity of the selected masks, spread evenly over layers and directions."""

    def masks(self, given: Given) -> NeuronMasks:
        settings = given.recipe.selection
        share = round(1 - NeuronMasks.load(given.masks).sparsity(), 4)
        criterion = TopFraction(share, statistic=settings.statistic)
        return select_neurons(
            Activations.load(given.activations), criterion, settings.granularity, families_of(given.recipe.corpus)
        )
