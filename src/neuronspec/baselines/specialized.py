"""Arm `specialized`: each direction restricted to the neurons that it was found to use."""

from __future__ import annotations

from neuronspec.baselines.arm import Given
from neuronspec.baselines.masked import Masked
from neuronspec.neurons import NeuronMasks


class Specialized(Masked):
    """Neuron specialization (Tan et al., 2024, arXiv 2404.11201)."""

    def masks(self, given: Given) -> NeuronMasks:
        return NeuronMasks.load(given.masks)
