"""The control for the choice of neurons: masks of the same sparsity, at random."""

from __future__ import annotations

from neuronspec.neurons import NeuronMasks, Random


def random_masks(masks: NeuronMasks, seed: int) -> NeuronMasks:
    """As many neurons of every direction and site as in `masks`, drawn at random.

    Directions that share a mask go on sharing one. The same seed gives the same masks.
    """
    return Random(like=masks, seed=seed).masks()
