"""Arm `specialized`: each direction restricted to the neurons that it was found to use."""

from __future__ import annotations

from neuronspec.arms.arm import Cost, Given
from neuronspec.arms.masked import Masked
from neuronspec.arms.rerecord import train_in_segments
from neuronspec.neurons.masks import NeuronMasks


class Specialized(Masked):
    """Neuron specialization (Tan et al., 2024, arXiv 2404.11201).

    With `specialization.rerecord_every` the neurons are found anew in between, which the paper doesn't do; see
    `rerecord`.
    """

    def masks(self, given: Given) -> NeuronMasks:
        return NeuronMasks.load(given.masks)

    def train(self, given: Given) -> Cost:
        every, updates = given.recipe.specialization.rerecord_every, given.recipe.continuation.updates
        if every is None or updates is None:
            return super().train(given)
        return train_in_segments(given, every, updates, lambda: self.masks(given))
