"""Arm `top_fraction`: the most active neurons, but the same share of every layer in every direction."""

from __future__ import annotations

from neuronspec.baselines.arm import Given
from neuronspec.baselines.masked import Masked
from neuronspec.neurons import Activations, NeuronMasks, TopFraction, select_neurons
from neuronspec.selecting import families_of


class Uniform(Masked):
    """The sparsity of the selected masks, spread evenly over layers and directions."""

    def masks(self, given: Given) -> NeuronMasks:
        settings = given.recipe.selection
        share = round(1 - NeuronMasks.load(given.masks).sparsity(), 4)
        criterion = TopFraction(share, statistic=settings.statistic)
        return select_neurons(
            Activations.load(given.activations), criterion, settings.granularity, families_of(given.recipe)
        )
