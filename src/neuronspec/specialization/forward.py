"""How the layers of a specialized FFN compute: the instance-level forward of `ups` and `down`.

Each layer decides by itself, from the same facts, in which of four ways it computes:

- dense: outside of any direction, and where every neuron is selected;
- compact: on the selected neurons alone (`restrict`), for one direction;
- with whole weights that are multiplied by the mask, for one direction, where the method is `masked`;
- at full width, as the semantics says. For one direction per row this is the only way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.linear import bias_of, is_adapted, is_linear, linear, weight_of
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.specialization.model_state import Active, Method, Specialization
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
# Without gradients the gathered weights are kept for the whole scope, so that any real saving pays.
MIN_SPARSITY = 0.02

_ATTRIBUTE = "_neuronspec_link"

Gathered: TypeAlias = "tuple[torch.Tensor, torch.Tensor | None]"
Gather: TypeAlias = Callable[[], Gathered]


@dataclass(slots=True)
class Link:
    """What a layer knows of its place: the model's specialization and the index of its site."""

    state: Specialization
    index: int

    @property
    def site(self) -> FFNSite:
        """The site that the layer belongs to."""
        return self.state.sites[self.index]


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
    for index, site in enumerate(state.sites):
        for layer in site.ups:
            _install(layer, Link(state, index), _up_forward)
        _install(site.down, Link(state, index), _down_forward)


def uninstall(state: Specialization) -> None:
    """Give the layers their own forward back."""
    for site in state.sites:
        for layer in (*site.ups, site.down):
            del vars(layer)["forward"], vars(layer)[_ATTRIBUTE]


def follow(model: nn.Module, state: Specialization) -> None:
    """Let the layers compute that are in the model now, if PEFT has put LoRA around them or merged it into them.

    Raises:
        ModelError: they are no layers that can be specialized.
    """
    if not state.moved:
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
    if not all(state.plain):
        raise ModelError(f"a compact model {_NEEDS_PLAIN}")


_NEEDS_PLAIN = "needs plain linear layers, and some have LoRA: merge it first with merge_and_unload() of the PeftModel"


def _install(layer: nn.Module, link: Link, forward: Callable[..., Any]) -> None:
    vars(layer)[_ATTRIBUTE] = link
    vars(layer)["forward"] = partial(forward, layer)  # unlike a bound method, pickled as it is


def _up_forward(up: nn.Module, x: torch.Tensor) -> torch.Tensor:
    link: Link = getattr(up, _ATTRIBUTE)
    active = _active(link)
    selection = active.selections[link.index] if active else None
    if active is None or selection is None or (isinstance(selection, Selection) and selection.full):
        return type(up).forward(up, x)
    if isinstance(selection, Selection) and _is_compact(link, selection, x):
        weight, bias = _kept(active, up, (up,), lambda: small_up(up, selection))
        return linear(up, x, weight, bias)
    if link.state.method == "masked":
        return _with_masked_weight(link, active, up, x, False)
    return link.state.rule.up(up, x, selection)


def _down_forward(down: nn.Module, x: torch.Tensor) -> torch.Tensor:
    link: Link = getattr(down, _ATTRIBUTE)
    active = _active(link)
    selection = active.selections[link.index] if active else None
    if active is None or selection is None or (isinstance(selection, Selection) and selection.full):
        return type(down).forward(down, x)
    site = link.site
    if isinstance(selection, Selection) and x.shape[-1] != site.width:  # the ups were compact
        constants = link.state.constants[link.index]
        weight, bias = _kept(active, down, (*site.ups, down), lambda: small_down(site, selection, constants))
        return linear(down, x, weight, bias)
    if link.state.method == "masked":
        return _with_masked_weight(link, active, down, x, True)
    return link.state.rule.down(down, x, selection)


def _with_masked_weight(link: Link, active: Active, layer: nn.Module, x: torch.Tensor, is_down: bool) -> torch.Tensor:
    selection = active.selections[link.index]
    assert isinstance(selection, Selection)  # one direction: see Specialization._prepare
    if link.state.rule.masks_inputs != is_down:
        return cast(torch.Tensor, type(layer).forward(layer, x))
    weight, bias = _kept(active, layer, (layer,), lambda: (masked_weight(layer, selection, is_down), bias_of(layer)))
    return linear(layer, x, weight, bias)


def _active(link: Link) -> Active | None:
    state = link.state
    if torch.compiler.is_compiling():
        return state.active
    if state.entered and not state.resumed and torch._C._current_graph_task_id() != -1:
        raise DirectionError(
            f"{link.site.name} is computed again in a backward pass and can't know its direction: checkpoint with "
            "model.activation_checkpointing_enable() before entering use_direction, or wrap the function that you "
            "checkpoint with neuronspec.specialization.checkpointing.keeping_direction(model, function)"
        )
    return state.active


def _is_compact(link: Link, selection: Selection, x: torch.Tensor) -> bool:
    state, site = link.state, link.site
    if state.method in ("rows", "masked") or not state.rule.compacts or not state.plain[link.index]:
        return False
    needs_every_neuron = state.constants[link.index] and site.drops_out
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
        return selection.sparsity >= MIN_SPARSITY
    tokens = x.numel() // x.shape[-1] * selection.sparsity
    if x.device.type == "cpu":
        return tokens >= MIN_TOKENS_SAVED
    return tokens * weight_of(site.down).numel() >= MIN_WORK_SAVED


def _kept(active: Active, layer: nn.Module, sources: tuple[nn.Module, ...], gather: Gather) -> Gathered:
    """What `gather` makes of the parameters of `sources`; without gradients kept for the scope, cast for autocast."""
    if active.weights is None or torch.is_grad_enabled() or torch.compiler.is_compiling():
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
