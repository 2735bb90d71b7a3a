"""Arm `magnitude`: masks of the same sparsity that keep the neurons with the largest weights, in every direction."""

from __future__ import annotations

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from neuronspec.arms.arm import Given, start
from neuronspec.arms.masked import Masked
from neuronspec.models.linear import weight_of
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks


class Magnitude(Masked):
    """As many neurons of every direction and site as are selected, those with the largest weights."""

    def masks(self, given: Given) -> NeuronMasks:
        return magnitude_masks(start(given), NeuronMasks.load(given.masks))


def magnitude_masks(model: nn.Module, like: NeuronMasks) -> NeuronMasks:
    """As many neurons of every direction and site as in `like`, the largest by `weight_norms`.

    The choice doesn't know the direction: directions with equally many neurons at a site get the same ones.
    """
    order = {site.name: weight_norms(site).sort(descending=True, stable=True).indices for site in find_ffn_sites(model)}
    info = like.info.model_copy(update={"criterion": "magnitude", "coverage": None})
    masks = {
        direction: {site: _first(order[site].cpu(), int(mask.sum())) for site, mask in sites.items()}
        for direction, sites in like.items()
    }
    return NeuronMasks(masks, info)


@torch.no_grad()
def weight_norms(site: FFNSite) -> torch.Tensor:
    """The product of the norms of what goes into a neuron and of what comes out of it. `[width]`."""
    norms = _norms(site.down, inputs=True)
    for up in site.ups:
        norms = norms * _norms(up, inputs=False)
    return norms


def _norms(layer: nn.Module, inputs: bool) -> torch.Tensor:
    """The norms of a layer's weights by input or by output; a `Conv1D` keeps them the other way round."""
    return weight_of(layer).norm(dim=0 if inputs != isinstance(layer, Conv1D) else 1)


def _first(order: torch.Tensor, number: int) -> torch.Tensor:
    mask = torch.zeros(len(order), dtype=torch.bool)
    mask[order[:number]] = True
    return mask
