"""Compact models: one direction's neurons alone, as an ordinary smaller model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from neuronspec.core.direction import DirectionLike
from neuronspec.core.errors import ModelError
from neuronspec.models.linear import bias_of, weight_of
from neuronspec.models.sites import FFNSite, unwrap
from neuronspec.specialization.apply import unspecialize
from neuronspec.specialization.forward import check_plain, follow
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.specialization.restrict import unselected_values

_ATTRIBUTE = "_neuronspec_compact"
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compact model is made of.

    Args:
        direction: the one direction it computes, `en-de`.
        semantics: of the masks it was made with.
        widths: number of neurons by site, of the sites that were specialized.
        parameters: number of parameters; tied ones count once.
        dense_parameters: the same of the model it was made from.
    """

    direction: str
    semantics: str
    widths: dict[str, int]
    parameters: int
    dense_parameters: int


def compact(model: Model, direction: DirectionLike) -> Model:
    """Make a smaller model that computes what `model` computes in `use_direction(model, direction)`.

    Its FFNs have the direction's neurons alone, in each layer another number; what unselected neurons give is
    folded into the bias of `down`, which gets one where it needs it. It is a copy: `model` stays as it is.
    `compact_report` gives its size; `save_compact` and `load_compact` keep it on disk.

    Args:
        model: a specialized model.
        direction: the direction that the small model computes.

    Returns:
        A model of the same class, without masks.

    Raises:
        ModelError: the model isn't specialized, or by semantics that compute all neurons.
        DirectionError: no masks for the direction.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> small = ns.compact(model, "en-de")
        >>> small.num_parameters() < model.num_parameters()
        True
    """
    given = specialization_of(model)
    if not given.rule.compacts:
        raise ModelError(f"semantics {given.semantics!r} computes all neurons in every direction: use the dense model")
    follow(model, given)
    check_plain(given)
    small = copy.deepcopy(cast(Model, unwrap(model)))
    dense_parameters = count_parameters(small)
    state = specialization_of(small)
    selections = state.selections_of(direction)
    for place, selection in zip(state.places, selections, strict=True):
        if not selection.full:
            _shrink(place.site, selection.selected, place.constants)
    unspecialize(small)
    widths = {site.name: len(s.selected) for site, s in zip(state.sites, selections, strict=True)}
    set_compact_report(
        small,
        CompactReport(
            str(state.masks.named(direction)), state.semantics, widths, count_parameters(small), dense_parameters
        ),
    )
    return small


def deployable(model: Model, direction: DirectionLike) -> Model:
    """The model that serves a direction: compact, or the dense one where the semantics compute all neurons.

    Args:
        model: a specialized model; left as it is.
        direction: that it has masks for.

    Raises:
        ModelError: the model isn't specialized.
        DirectionError: no masks for the direction.
    """
    state = specialization_of(model)
    if SEMANTICS.get(state.semantics).compacts:
        return compact(model, direction)
    state.selections_of(direction)  # refuses a direction without masks
    dense = copy.deepcopy(cast(Model, unwrap(model)))
    unspecialize(dense)
    size, widths = count_parameters(dense), {site.name: site.width for site in state.sites}
    set_compact_report(dense, CompactReport(str(state.masks.named(direction)), state.semantics, widths, size, size))
    return dense


def compact_report(model: nn.Module) -> CompactReport:
    """What a model that `compact` or `load_compact` made is made of.

    Raises:
        ModelError: it is another model.
    """
    report = vars(unwrap(model)).get(_ATTRIBUTE)
    if report is None:
        raise ModelError(
            f"this {type(unwrap(model)).__name__} isn't a compact model; compact(model, direction) makes one"
        )
    return report


def set_compact_report(model: nn.Module, report: CompactReport) -> None:
    """Mark a model as compact."""
    vars(model)[_ATTRIBUTE] = report


def count_parameters(model: nn.Module) -> int:
    """Number of parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def resize(site: FFNSite, width: int, bias: bool) -> None:
    """Give the layers of a site another width, with zeros as weights; `down` gets a bias if `bias` and it has none."""
    for up in site.ups:
        shape = weight_of(up).shape
        up_bias = bias_of(up)
        new = (shape[0], width) if isinstance(up, Conv1D) else (width, shape[1])
        _set(up, weight_of(up).new_zeros(new), None if up_bias is None else up_bias.new_zeros(width))
    down, shape = site.down, weight_of(site.down).shape
    new = (width, shape[1]) if isinstance(down, Conv1D) else (shape[0], width)
    outputs = shape[1] if isinstance(down, Conv1D) else shape[0]
    _set(down, weight_of(down).new_zeros(new), weight_of(down).new_zeros(outputs) if bias else None)


@torch.no_grad()
def _shrink(site: FFNSite, selected: torch.Tensor, constants: bool) -> None:
    weight, bias = weight_of(site.down), bias_of(site.down)
    axis = 0 if isinstance(site.down, Conv1D) else 1
    if constants:
        values = unselected_values(site).to(weight.dtype).index_fill(0, selected, 0)
        shift = values @ weight if axis == 0 else weight @ values
        bias = shift if bias is None else bias + shift
    _set(site.down, weight.index_select(axis, selected), bias)
    for up in site.ups:
        up_bias = bias_of(up)
        axis = 1 if isinstance(up, Conv1D) else 0
        smaller = weight_of(up).index_select(axis, selected)
        _set(up, smaller, None if up_bias is None else up_bias.index_select(0, selected))


def _set(layer: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
    learns = weight_of(layer).requires_grad
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=learns)
    layer.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=learns)
    if isinstance(layer, Conv1D):
        layer.nx, layer.nf = weight.shape
    else:
        layer.out_features, layer.in_features = weight.shape
