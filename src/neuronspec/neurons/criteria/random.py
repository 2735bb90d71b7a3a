"""`Random`: other masks with their neurons permuted, the control for the choice of neurons."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from neuronspec.neurons.criteria.criterion import Criterion, Selected
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.packing import pack
from neuronspec.neurons.pooling import Pool


@dataclass(frozen=True)
class Random(Criterion):
    """Masks of the same sparsity with the neurons permuted: the control that tells whether the choice matters.

    Every direction and site keeps its number of neurons, and directions that share a mask go on sharing one.
    The permutation depends on the seed, the site and the mask alone.

    Args:
        like: the masks to permute.
        seed: of the permutations.
    """

    like: NeuronMasks
    seed: int
    statistic = None

    def masks(self) -> NeuronMasks:
        """The permuted masks; no activations are needed."""
        info = self.like.info.model_copy(update={"criterion": repr(self), "coverage": None})
        permuted = {
            direction: {site: self._permuted(site, mask) for site, mask in sites.items()}
            for direction, sites in self.like.items()
        }
        return NeuronMasks(permuted, info)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`; the directions and sites are those of `like`."""
        return {direction: dict(sites) for direction, sites in self.masks().items()}

    def _permuted(self, site: str, mask: torch.Tensor) -> torch.Tensor:
        digest = hashlib.sha256(f"{self.seed} {site} ".encode() + pack(mask).tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        return mask[torch.randperm(len(mask), generator=generator)]
