"""`WeightMagnitude`: the neurons with the largest weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from neuronspec.core.errors import MaskError
from neuronspec.neurons.criteria.criterion import Criterion, Selected, first_of, ranked
from neuronspec.neurons.criteria.parts import Likened, selected_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

    from neuronspec.models.sites import FFNSite
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.pooling import Pool


@dataclass(frozen=True)
class WeightMagnitude(Likened):
    """As many neurons as another criterion selects at each site, those with the largest weights.

    A neuron's weights are as large as the product of the norms of what goes into it (of a gated FFN, of both
    projections) and of what comes out of it; ties: lower index first. The choice doesn't know the direction: directions
    with equally many neurons at a site get the same ones. It reads the model's weights: `select_neurons(...,
    model=model)`. In a recipe, the numbers of neurons are those of `CumulativeActivation` with the section's coverage,
    or of another criterion, written as a name or as the keys that it has in the section `selection`: `parameters:
    {like: lape}`.

    Args:
        like: the masks, or the criterion, whose numbers of neurons count.

    Examples:
        >>> largest = ns.select_neurons(acts, ns.WeightMagnitude(ns.TopFraction(0.25)), model=model)
        >>> largest.sparsity() == ns.select_neurons(acts, ns.TopFraction(0.25)).sparsity()
        True
    """

    reads_weights: ClassVar[bool] = True

    def masks(self, model: nn.Module) -> NeuronMasks:
        """The masks for a model where `like` are masks; no activations are needed.

        Args:
            model: whose weights count.

        Raises:
            MaskError: `like` are masks of another model.
            ModelError: the model's FFN sites aren't known.
        """
        from neuronspec.neurons.masks import NeuronMasks

        assert isinstance(self.like, NeuronMasks)
        info = self.like.info.model_copy(update={"criterion": repr(self), "coverage": None})
        return NeuronMasks(_largest(self.like, norms_of(model, self.like.widths)), info)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`; if `like` are masks, the directions and sites are theirs."""
        assert pool.norms is not None  # select_neurons gives them to a criterion that reads weights
        return _largest(selected_by(self.like, pool) if isinstance(self.like, Criterion) else self.like, pool.norms)


def _largest(like: NeuronMasks | Selected, norms: Mapping[str, torch.Tensor]) -> Selected:
    order = {site: ranked(each) for site, each in norms.items()}
    return {
        direction: {site: first_of(order[site], int(mask.sum())) for site, mask in sites.items()}
        for direction, sites in like.items()
    }


def norms_of(model: nn.Module, widths: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """The norms of the neurons' weights.

    Args:
        model: a Hugging Face model or a wrapper of one.
        widths: the number of neurons by site that the model should have; it may have more sites.

    Returns:
        By site, a tensor `[width]` on the CPU.

    Raises:
        MaskError: a site is missing, or has another width.
        ModelError: the model's FFN sites aren't known.
    """
    from neuronspec.models.sites import find_ffn_sites

    sites = {site.name: site for site in find_ffn_sites(model)}
    for name, width in widths.items():
        found = sites[name].width if name in sites else "none"
        if found != width:
            raise MaskError(
                f"the model isn't the one that was recorded: {width} neurons at {name}, the model has {found}"
            )
    return {name: weight_norms(sites[name]).cpu() for name in widths}


def weight_norms(site: FFNSite) -> torch.Tensor:
    """The product of the norms of what goes into a neuron and of what comes out of it. `[width]`."""
    norms = _norms(site.down, inputs=True)
    for up in site.ups:
        norms = norms * _norms(up, inputs=False)
    return norms


def _norms(layer: nn.Module, inputs: bool) -> torch.Tensor:
    """The norms of a layer's weights by input or by output; a `Conv1D` keeps them the other way round."""
    import torch
    from transformers.pytorch_utils import Conv1D

    from neuronspec.models.dispatch import weights_present
    from neuronspec.models.linear import weight_of

    with weights_present(layer):
        weight = weight_of(layer).detach()
        precise = torch.promote_types(weight.dtype, torch.float32)  # in bf16 most norms would be equal
        axis = 0 if inputs != isinstance(layer, Conv1D) else 1
        return torch.linalg.vector_norm(weight, dim=axis, dtype=precise)
