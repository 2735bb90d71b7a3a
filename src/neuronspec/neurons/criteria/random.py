"""`Random`: other masks with their neurons permuted, the control for the choice of neurons."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuronspec.core.errors import RecipeError
from neuronspec.neurons.criteria.criterion import Criterion, Selected
from neuronspec.neurons.criteria.parts import Likened, selected_by

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.pooling import Pool


@dataclass(frozen=True)
class Random(Likened):
    """Masks of the same sparsity with the neurons permuted: a control for whether the choice matters.

    Every direction and site keeps its number of neurons, and directions that share a mask continue to share one.
    The permutation depends on the seed, the site and the mask alone. In a recipe, the numbers of neurons are those of
    `CumulativeActivation` with the section's coverage, or of another criterion, written as a name or as the keys that
    it has in the section `selection`: `parameters: {like: {criterion: lape, fraction: 0.05}}`.

    Args:
        like: the masks to permute, or the criterion that selects them.
        seed: of the permutations.

    Raises:
        RecipeError: the seed isn't a whole number from 0, below 2^63.

    Examples:
        >>> control = ns.Random(like=masks, seed=1).masks()
        >>> control.sparsity() == masks.sparsity() and control != masks
        True
    """

    seed: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise RecipeError(f"seed is {self.seed!r}; it should be a whole number from 0, below 2^63")

    def masks(self) -> NeuronMasks:
        """The masks `like`, permuted; no activations are needed."""
        from neuronspec.neurons.masks import NeuronMasks

        assert isinstance(self.like, NeuronMasks)
        info = self.like.info.model_copy(update={"criterion": repr(self), "coverage": None})
        return NeuronMasks(self._permuted(self.like), info)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`; if `like` are masks, the directions and sites are theirs."""
        return self._permuted(selected_by(self.like, pool) if isinstance(self.like, Criterion) else self.like)

    def _permuted(self, masks: NeuronMasks | Selected) -> Selected:
        return {
            direction: {site: self._permutation(site, mask) for site, mask in sites.items()}
            for direction, sites in masks.items()
        }

    def _permutation(self, site: str, mask: torch.Tensor) -> torch.Tensor:
        import torch

        from neuronspec.neurons.packing import pack

        digest = hashlib.sha256(f"{self.seed} {site} ".encode() + pack(mask).tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
        return mask[torch.randperm(len(mask), generator=generator)]
