"""Putting masks onto a model, and taking them away."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

import torch
from torch import nn

from neuronspec.core.errors import MaskError, ModelError, nearest
from neuronspec.models.sites import FFNSite, find_ffn_sites, unwrap
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.checkpointing import release_directions
from neuronspec.specialization.forward import check_layers, follow, install, uninstall
from neuronspec.specialization.methods import bind, unbind
from neuronspec.specialization.model_state import (
    Components,
    Method,
    Specialization,
    attach,
    attached,
    specialization_of,
)
from neuronspec.specialization.registry import SEMANTICS

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)
MasksLike = NeuronMasks | Mapping[Any, Mapping[str, torch.Tensor]]


def specialize(
    model: Model,
    masks: MasksLike,
    semantics: str = "weight",
    components: Components = "both",
    method: Method = "auto",
) -> Model:
    """Restrict the FFNs of `model`, in place, to each direction's neurons inside of `use_direction(model, direction)`.

    The parameters, their names and the optimizer's view of them stay those of the dense model, and outside of any
    direction the model computes as the dense shared model. Every parameter gets the gradient that masked weights
    would give it: zero for the weights of the ups of unselected neurons (Tan et al., 2024, section 4). With semantics
    `gradient` the model computes as the dense one in every direction, and the direction's text changes its neurons
    alone.

    The model's `save_pretrained` and `push_to_hub`, and `Trainer.save_model`, keep the masks beside the weights; its
    `generate` warns once outside of a direction. LoRA of PEFT may be put on before or after.

    Args:
        model: a Hugging Face model with known FFN sites; see `find_ffn_sites`.
        masks: by direction and site, BoolTensor `[width]`.
        semantics: what masks do to a block: `weight`, the paper's; `neuron`; `gradient`; or another name of
            `neuronspec.specialization.registry`.
        components: specialize the sites of the encoder, the decoder, or both. The layers of a decoder-only
            model count as decoder.
        method: `compact` computes the selected neurons alone; `rows` computes all and masks, row by row where a
            batch mixes directions; `masked` multiplies whole weights by the mask, as the paper's scripts do, in shapes
            that are the same for all directions; `auto` chooses compact where it pays, else rows. The results are the
            same up to rounding.

    Returns:
        The model, which is changed in place.

    Raises:
        ModelError: the model is specialized already, has no known FFN sites, or none in `components`; its layers
            aren't plain linear layers, nor PEFT's LoRA around such (quantized, other adapters), which `gradient`
            doesn't allow.
        MaskError: the masks are of another model (the message says how they differ) or select no neuron somewhere
            (which `gradient` allows).

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> with ns.use_direction(model, "en-de"):
        ...     loss = model(**batches[0].inputs).loss
    """
    for name, value, valid in (
        ("semantics", semantics, SEMANTICS.names),
        ("components", components, get_args(Components)),
        ("method", method, get_args(Method)),
    ):
        if value not in valid:
            raise ModelError(f"{name}={value!r}: {nearest(value, valid)}")
    if method in ("compact", "masked") and not SEMANTICS.get(semantics).compacts:
        raise ModelError(f"method={method!r}: semantics {semantics!r} computes all neurons; use 'auto' or 'rows'")
    if attached(model) is not None:
        raise ModelError(
            f"this {type(unwrap(model)).__name__} is specialized already: call unspecialize(model) first to put on "
            "other masks"
        )
    sites = find_ffn_sites(model)
    chosen = [site for site in sites if components in ("both", site.component)]
    if not chosen:
        raise ModelError(f"components={components!r}: this {type(unwrap(model)).__name__} has no {components}")
    own = fitting(masks, sites, chosen)
    if SEMANTICS.get(semantics).needs_neurons:
        _check_selected(own)
    check_layers(chosen, method, semantics)
    state = Specialization(chosen, own, semantics, components, method)
    install(state)
    attach(model, state)
    bind(model)
    logger.debug(
        "specialized %s: semantics %s, method %s, %d sites, %d directions, sparsity %.3f",
        type(unwrap(model)).__name__, semantics, method, len(chosen), len(own), own.sparsity(),
    )  # fmt: skip
    return model


def unspecialize(model: nn.Module) -> None:
    """Undo `specialize`: the model is the dense one again, with the parameters it has now.

    Raises:
        ModelError: the model isn't specialized.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> ns.unspecialize(model)
    """
    state = specialization_of(model)
    follow(model, state)
    uninstall(state)
    release_directions(unwrap(model))
    unbind(model)
    attach(model, None)


def fitting(masks: MasksLike, sites: Sequence[FFNSite], chosen: Sequence[FFNSite]) -> NeuronMasks:
    """The masks of the chosen sites. Masks of the model's other sites are left out.

    Raises:
        MaskError: the masks don't fit the model.
    """
    own = masks if isinstance(masks, NeuronMasks) else NeuronMasks.from_dict(masks)
    known = set(own.sites)
    # masks may be of all sites or of the chosen ones alone; anything else is another model's
    own.validate_against(chosen if known == {site.name for site in chosen} else sites)
    if len(chosen) == len(own.sites):
        return own
    names = [site.name for site in chosen]
    return NeuronMasks({direction: {name: by[name] for name in names} for direction, by in own.items()}, own.info)


def _check_selected(masks: NeuronMasks) -> None:
    for direction, by_site in masks.items():
        for name, mask in by_site.items():
            if not mask.any():
                raise MaskError(f"the mask of {direction} at {name} selects no neuron: at least one is needed")
