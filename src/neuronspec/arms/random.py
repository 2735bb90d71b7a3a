"""Arm `random`: the control for the choice of neurons, masks of the same sparsity at random."""

from __future__ import annotations

from neuronspec.arms.arm import Given
from neuronspec.arms.masked import Masked
from neuronspec.neurons.criteria.random import Random
from neuronspec.neurons.masks import NeuronMasks


class RandomMasks(Masked):
    """As many neurons of every direction and site as are selected, drawn at random."""

    def masks(self, given: Given) -> NeuronMasks:
        return random_masks(NeuronMasks.load(given.masks), given.seed)


def random_masks(masks: NeuronMasks, seed: int) -> NeuronMasks:
    """As many neurons of every direction and site as in `masks`, drawn at random.

    Directions that share a mask go on sharing one. The same seed gives the same masks.
    """
    return Random(like=masks, seed=seed).masks()
