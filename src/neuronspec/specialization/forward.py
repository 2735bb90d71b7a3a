"""How the layers of a specialized FFN compute: the instance-level forward of `ups` and `down`.

Each layer computes in one of four ways:

- dense: outside of any direction, and where every neuron is selected;
- compact: on the selected neurons alone (`restrict`), for one direction, where the method is `compact`, or `auto`
  and it pays (`decide`);
- with whole weights that are multiplied by the mask, for one direction, where the method is `masked`;
- at full width, as the semantics says. For one direction per row this is the only way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.linear import bias_of, is_adapted, is_linear, linear, weight_of
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.specialization.model_state import Method, Place, Specialization
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.specialization.restrict import masked_weight, small_down, small_up
from neuronspec.specialization.selected import Selection

# Compact pays in training on a CPU where (tokens in the batch) x (share of neurons saved) reaches this: gathering
# weights and scattering their gradients takes as long as the matrix products of so many tokens, whatever the layer's
# size (benchmarks/compact_threshold.py).
MIN_TOKENS_SAVED = 24
# On a GPU the gathering costs about a millisecond of launches per site, so it pays by the work that is saved: tokens x
# share of neurons x elements of `down`. Between what gained and what lost on an H100 in bf16
# (benchmarks/results/gpu.json).
MIN_WORK_SAVED = 4e10

_ATTRIBUTE = "_neuronspec_link"

Gathered: TypeAlias = "tuple[torch.Tensor, torch.Tensor | None]"
Gather: TypeAlias = Callable[[], Gathered]


@dataclass(slots=True)
class Link:
    """What a layer knows of its place: the model's specialization and its site's `Place`."""

    state: Specialization
    place: Place


def install(state: Specialization) -> None:
    """Give the layers of every site their specialized forward.

    Raises:
        ModelError: a layer's forward has been replaced on the instance by something else.
    """
    layers = [(layer, site) for site in state.sites for layer in (*site.ups, site.down)]
    for layer, site in layers:
        if "forward" in vars(layer):
            raise ModelError(
                f"{site.name}: the forward of a {type(layer).__name__} has been replaced on the instance (by "
                "accelerate's dispatch or another library); specialize the model before that"
            )
    for site, place in zip(state.sites, state.places, strict=True):
        for layer in site.ups:
            _install(layer, Link(state, place), forward_of_up)
        _install(site.down, Link(state, place), forward_of_down)
    state.installed = True


def uninstall(state: Specialization) -> None:
    """Give the layers their own forward back."""
    for site in state.sites:
        for layer in (*site.ups, site.down):
            del vars(layer)["forward"], vars(layer)[_ATTRIBUTE]


def follow(model: nn.Module, state: Specialization) -> None:
    """Let the layers compute that are in the model now, if PEFT has put LoRA around them or merged it into them.

    A copy that was pickled has their class's own forward, and gets the specialized one here.

    Raises:
        ModelError: they are no layers that can be specialized.
    """
    if not state.moved:
        if not state.installed:
            uninstall(state)
            install(state)
        return
    found = {site.name: site for site in find_ffn_sites(model)}
    sites = [found[site.name] for site in state.sites]
    check_layers(sites, state.method, state.semantics)
    uninstall(state)
    state.place(sites)
    install(state)


def check_layers(sites: Sequence[FFNSite], method: Method, semantics: str) -> None:
    """Check that the layers of the sites can be specialized.

    Raises:
        ModelError: one can't, or not by this method or with these semantics.
    """
    for site in sites:
        for layer in (*site.ups, site.down):
            if is_linear(layer):
                continue
            if not is_adapted(layer):
                raise ModelError(
                    f"{site.name} has a {type(layer).__name__}: only plain linear layers with floating-point weights "
                    "can be specialized, also with LoRA of PEFT around them (without lora_bias); undo quantization and "
                    "merge other adapters first"
                )
            if not SEMANTICS.get(semantics).allows_lora:
                raise ModelError(
                    f"semantics {semantics!r} updates the weights of selected neurons, and {site.name} has LoRA in "
                    "place of them: merge it first with merge_and_unload() of the PeftModel, or use other semantics"
                )
            if method in ("compact", "masked"):
                raise ModelError(f"method={method!r} {_NEEDS_PLAIN}, or specialize with method='auto'")


def check_plain(state: Specialization) -> None:
    """Check that no layer of a site has an adapter around it.

    Raises:
        ModelError: one has.
    """
    if not all(place.plain for place in state.places):
        raise ModelError(f"a compact model {_NEEDS_PLAIN}")


_NEEDS_PLAIN = "needs plain linear layers, and some have LoRA: merge it first with merge_and_unload() of the PeftModel"


def _install(layer: nn.Module, link: Link, forward: Callable[..., Any]) -> None:
    vars(layer)[_ATTRIBUTE] = link
    # A bound method: of anything else torch.compile checks which object it is, and compiles each layer anew. Pickled
    # it is the forward of the class, see `follow`.
    vars(layer)["forward"] = MethodType(forward, layer)


def forward_of_up(up: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The forward of one of the ups of a site."""
    link: Link = getattr(up, _ATTRIBUTE)
    _check_direction(link)
    selection = link.place.selection
    if selection is None or (isinstance(selection, Selection) and selection.full):
        return cast(torch.Tensor, type(up).forward(up, x))
    if isinstance(selection, Selection) and _is_compact(link, selection, x):
        weight, bias = _kept(link, up, (up,), lambda: small_up(up, selection))
        return linear(up, x, weight, bias)
    if link.state.method == "masked":
        return _with_masked_weight(link, up, x, False)
    return link.state.rule.up(up, x, selection)


def forward_of_down(down: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The forward of the `down` of a site."""
    link: Link = getattr(down, _ATTRIBUTE)
    _check_direction(link)
    selection, site = link.place.selection, link.place.site
    if selection is None or (isinstance(selection, Selection) and selection.full):
        return cast(torch.Tensor, type(down).forward(down, x))
    if isinstance(selection, Selection) and x.shape[-1] != site.width:  # the ups were compact
        constants = link.place.constants
        weight, bias = _kept(link, down, (*site.ups, down), lambda: small_down(site, selection, constants))
        return linear(down, x, weight, bias)
    if link.state.method == "masked":
        return _with_masked_weight(link, down, x, True)
    return link.state.rule.down(down, x, selection)


forward_of_up.__name__ = forward_of_down.__name__ = "forward"  # what a bound method is pickled by


def _with_masked_weight(link: Link, layer: nn.Module, x: torch.Tensor, is_down: bool) -> torch.Tensor:
    selection = link.place.selection
    assert isinstance(selection, Selection)  # one direction: see Specialization._prepare
    if link.state.rule.masks_inputs != is_down:
        return cast(torch.Tensor, type(layer).forward(layer, x))
    weight, bias = _kept(link, layer, (layer,), lambda: (masked_weight(layer, selection, is_down), bias_of(layer)))
    return linear(layer, x, weight, bias)


def _check_direction(link: Link) -> None:
    if torch.compiler.is_compiling():
        return
    state = link.state
    if state.entered and not state.resumed and torch._C._current_graph_task_id() != -1:
        raise DirectionError(
            f"{link.place.site.name} is computed again in a backward pass and can't know its direction: checkpoint "
            "with model.activation_checkpointing_enable() before entering use_direction, or wrap the function that you "
            "checkpoint with neuronspec.specialization.checkpointing.keeping_direction(model, function)"
        )


def _is_compact(link: Link, selection: Selection, x: torch.Tensor) -> bool:
    state, place = link.state, link.place
    if state.method in ("rows", "masked") or not state.rule.compacts or not place.plain:
        return False
    site = place.site
    needs_every_neuron = place.constants and site.drops_out
    if state.method == "compact":
        if needs_every_neuron:
            raise ModelError(
                f"{site.name} drops out neurons at random in training, constants of unselected ones too, which "
                "method='compact' has no way to do: set activation_dropout=0, or specialize with method='auto'"
            )
        return True
    if needs_every_neuron or site.down._forward_pre_hooks or site.down._forward_hooks:
        return False  # hooks on `down` look at neurons: show them all
    if not torch.is_grad_enabled():
        return selection.sparse
    if place.compact is not None:
        return place.compact
    return _pays(site, selection, x.numel() // x.shape[-1])


def _pays(site: FFNSite, selection: Selection, tokens: int) -> bool:
    """Whether computing so many tokens on the selected neurons alone is faster in training."""
    saved, weight = tokens * selection.sparsity, weight_of(site.down)
    return saved >= MIN_TOKENS_SAVED if weight.device.type == "cpu" else saved * weight.numel() >= MIN_WORK_SAVED


def decide(state: Specialization, tokens: Mapping[str, int]) -> None:
    """Decide once for the scope that is open how `method="auto"` computes forward passes with gradients.

    Where nobody has decided, each layer does so for itself: it was called by itself, or within what `torch.compile`
    made of the whole model.

    Args:
        state: of the model.
        tokens: of the batch with its padding, by component.
    """
    active = state.active
    if active is None or state.method != "auto" or any(one is not None for one in active.compact):
        return
    state.decide(
        [
            _pays(site, selection, tokens[site.component])
            if isinstance(selection, Selection) and site.component in tokens
            else None
            for site, selection in zip(state.sites, active.selections, strict=True)
        ]
    )


def _kept(link: Link, layer: nn.Module, sources: tuple[nn.Module, ...], gather: Gather) -> Gathered:
    """What `gather` makes of the parameters of `sources`; without gradients kept for the scope, cast for autocast."""
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return gather()
    active = link.state.active
    if active is None or active.weights is None:
        return gather()
    device = weight_of(sources[0]).device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    version = [dtype, *((p.data_ptr(), p._version) for s in sources for p in s.parameters(recurse=False))]
    kept = active.weights.get(layer)
    if kept is None or kept[0] != version:
        weight, bias = gather()
        if dtype is not None:
            weight, bias = weight.to(dtype), bias if bias is None else bias.to(dtype)
        kept = active.weights[layer] = (version, (weight, bias))
    return kept[1]
