"""The plain way to compute masked FFNs, to hold the specialized layers against; and random masks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers.pytorch_utils import Conv1D

from neuronspec.models.sites import find_ffn_sites

MATMULS = {torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__}


class Double(TorchFunctionMode):
    """Computes in float64 throughout: norms and softmax of many models go through float32, whose rounding would hide
    errors and make exact comparisons a matter of luck."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.__name__ != "__get__" and args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64:
            if func is torch.Tensor.float:
                return args[0]
            if func in MATMULS:  # positions, made float32
                args = args[0], args[1].double()
            args = [torch.float64 if arg is torch.float32 else arg for arg in args]
            if kwargs:
                kwargs = {name: torch.float64 if value is torch.float32 else value for name, value in kwargs.items()}
        return func(*args, **kwargs)


Masks = dict[str, dict[str, torch.Tensor]]


def random_masks(model: nn.Module, directions: tuple[str, ...] = ("en-de", "de-en"), seed: int = 0) -> Masks:
    """About half of the neurons of every site, at least one."""
    generator = torch.Generator().manual_seed(seed)

    def one(width: int) -> torch.Tensor:
        mask = torch.rand(width, generator=generator) < 0.5
        mask[torch.randint(width, (1,), generator=generator)] = True
        return mask

    return {d: {site.name: one(site.width) for site in find_ffn_sites(model)} for d in directions}


def naive(model: nn.Module, masks: Mapping[str, torch.Tensor], semantics: str, inputs: dict[str, Any]) -> Any:
    """The output of the dense model with the weights of `ups` multiplied by expanded masks (weight semantics), or
    with the input of `down` multiplied by the mask (neuron semantics), for one direction's masks by site. With gradient
    semantics it is the dense model's, of whose weights some are constants."""
    names = {parameter: name for name, parameter in model.named_parameters(remove_duplicate=False)}
    replaced: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        for site in find_ffn_sites(model):
            if site.name not in masks:
                continue
            mask = masks[site.name].to(site.down.weight.dtype)
            if semantics == "neuron":
                hook = site.down.register_forward_pre_hook(lambda module, args, mask=mask: (args[0] * mask,))
                stack.callback(hook.remove)
                continue
            if semantics == "gradient":
                for up in site.ups:
                    replaced[names[up.weight]] = _partly(up.weight, mask, isinstance(up, Conv1D))
                    if up.bias is not None:
                        replaced[names[up.bias]] = _partly(up.bias, mask, False)
                replaced[names[site.down.weight]] = _partly(site.down.weight, mask, not isinstance(site.down, Conv1D))
                continue
            for up in site.ups:
                expanded = mask[None, :] if isinstance(up, Conv1D) else mask[:, None]
                replaced[names[up.weight]] = up.weight * expanded.to(up.weight.dtype)  # of T5, down is wider
        return torch.func.functional_call(model, replaced, kwargs=inputs)


def _partly(values: torch.Tensor, mask: torch.Tensor, last: bool) -> torch.Tensor:
    """The same values, those of masked neurons as constants; neurons are in the last dimension or the first."""
    mask = (mask if last or values.dim() == 1 else mask[:, None]).to(values.dtype)
    return values * mask + values.detach() * (1 - mask)


def methods(semantics: str) -> tuple[str, ...]:
    """How layers can be computed with these semantics."""
    return ("rows", "auto") if semantics == "gradient" else ("compact", "rows", "masked", "auto")


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradient of every parameter by name; zeros where there is none."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
