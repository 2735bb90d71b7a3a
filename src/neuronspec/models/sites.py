"""The feed-forward (FFN) sites of a Hugging Face model: where its neurons are."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.models.mixtures import why_not_mixture
from neuronspec.models.patterns import FFN_PATTERNS, FFNPattern, register_ffn_pattern

__all__ = ["FFNSite", "find_ffn_sites", "in_width", "out_width", "register_ffn_pattern", "unwrap"]

_ORDER = {"encoder": 0, "decoder": 1, "layers": 2}
_MIXTURE = re.compile(r"MoE|Moe|Experts|Router|SparseMLP")


@dataclass(frozen=True, slots=True, repr=False)
class FFNSite:
    """One feed-forward block. A neuron is one input column of `down`.

    Args:
        name: `encoder.N`, `decoder.N`, or `layers.N` in a model without an encoder.
        ups: the projections `[..., d_model] -> [..., width]`; where there are two, the gate comes first.
        down: the projection `[..., width] -> [..., d_model]`.
        activation: elementwise function of the first up.
        width: number of neurons.
        block: the module that holds these layers, such as the Transformer layer or its MLP.
        dropout: the name in `block` of the dropout on the input of `down`, if there is one.
    """

    name: str
    ups: tuple[nn.Module, ...]
    down: nn.Module
    activation: Callable[[torch.Tensor], torch.Tensor]
    width: int
    block: nn.Module
    dropout: str | None = None

    def __repr__(self) -> str:
        activation = getattr(self.activation, "__name__", type(self.activation).__name__)
        gate = "gated " if len(self.ups) > 1 else ""
        return f"FFNSite({self.name!r}, {self.width:,} neurons, {gate}{activation})"

    @property
    def component(self) -> str:
        """`encoder` or `decoder`; the layers of a decoder-only model are `decoder`."""
        return "encoder" if self.name.startswith("encoder.") else "decoder"

    @property
    def drops_out(self) -> bool:
        """Whether a forward now would drop out inputs of `down` at random."""
        layer = _get(self.block, self.dropout) if self.dropout else None
        if isinstance(layer, nn.Dropout):
            return layer.training and layer.p > 0
        return self.block.training and float(layer or 0.0) > 0


def find_ffn_sites(model: nn.Module) -> list[FFNSite]:
    """The FFN sites of `model`, first the encoder's, then the decoder's, from the first layer to the last.

    `model` may be wrapped by `DistributedDataParallel`, `torch.compile` or a `PeftModel`.

    Raises:
        ModelError: no known pattern fits, or not every layer has one such block (mixtures of experts, several
            stacks of layers).
    """
    model = unwrap(model)
    config: Any = getattr(model, "config", None)
    if hasattr(config, "to_dict") and (reason := why_not_mixture(config.to_dict())):
        raise ModelError(reason)
    experts = next((type(m).__name__ for m in model.modules() if _MIXTURE.search(type(m).__name__)), None)
    if experts:
        raise ModelError(
            f"{_describe(model)} has mixture-of-experts feed-forward layers ({experts}): "
            "the neurons of experts can't be recorded or specialized; use a dense model"
        )
    paths: dict[str, str] = {}
    sites: dict[str, FFNSite] = {}
    for path, module in model.named_modules():
        pattern = _matching_pattern(model, path, module)
        if pattern is None or any(site.down is _get(module, pattern.down) for site in sites.values()):
            continue  # a wrapper may pass on the attributes of what it wraps
        name = _site_name(model, path)
        if name in sites:
            raise ModelError(
                f"{_describe(model)}: the feed-forward blocks {paths[name]} and {path} would both be {name}; "
                "pass the part of the model that holds one stack of layers (or one encoder and one decoder)"
            )
        paths[name], sites[name] = path, _site(name, module, pattern)
    _check_every_layer(model, paths)
    return [sites[name] for name in sorted(sites, key=_position)]


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside `DistributedDataParallel`, `torch.compile` and PEFT's wrappers."""
    *_, model = unwrapped(model)
    return model


def unwrapped(model: nn.Module) -> Iterator[nn.Module]:
    """What `unwrap` takes off, from the outside in, and last the model itself."""
    yield model
    if isinstance(model, nn.parallel.DistributedDataParallel):
        yield from unwrapped(model.module)
    elif isinstance(compiled := model._modules.get("_orig_mod"), nn.Module):
        yield from unwrapped(compiled)
    elif is_peft_model(model):
        inside: Any = model.base_model  # prompt learning wraps the model itself, the others a tuner around it
        yield from unwrapped(inside.model if hasattr(type(inside), "inject_adapter") else inside)


def is_peft_model(model: nn.Module) -> bool:
    """Whether a model is PEFT's wrapper of one."""
    peft: Any = sys.modules.get("peft")  # where it isn't imported no model is wrapped by it
    return peft is not None and isinstance(model, peft.PeftModel | peft.PeftMixedModel)


def in_width(projection: nn.Module) -> int | None:
    """Number of inputs of a linear layer, `nn.Linear` or GPT-2's `Conv1D`; None if it is something else."""
    return _integer(projection, "in_features", "nx")


def out_width(projection: nn.Module) -> int | None:
    """Number of outputs of a linear layer, `nn.Linear` or GPT-2's `Conv1D`; None if it is something else."""
    return _integer(projection, "out_features", "nf")


def _integer(module: nn.Module, *names: str) -> int | None:
    values = (getattr(module, name, None) for name in names)
    return next((value for value in values if isinstance(value, int)), None)


def _get(module: nn.Module, dotted: str) -> Any:
    for name in dotted.split("."):
        module = getattr(module, name, None)  # type: ignore[assignment]
    return module


def _matching_pattern(model: nn.Module, path: str, module: nn.Module) -> FFNPattern | None:
    for pattern in FFN_PATTERNS.values():
        layers = [_get(module, name) for name in (*pattern.ups, pattern.down)]
        if not all(isinstance(layer, nn.Module) for layer in layers) or not callable(_get(module, pattern.activation)):
            continue
        width = in_width(layers[-1])
        if width is None or any(out_width(up) != width for up in layers[:-1]):
            continue
        for attribute in pattern.unlike:
            if _is_set(_get(module, attribute)):
                raise ModelError(
                    f"{_describe(model)}: the block {path} has {attribute!r}, so it isn't the plain "
                    f"{', '.join(pattern.ups)} -> activation -> {pattern.down} that neurons are defined for"
                )
        return pattern
    return None


def _is_set(value: Any) -> bool:
    return value is not None and (isinstance(value, (nn.Module, torch.Tensor)) or bool(value))


def _site(name: str, block: nn.Module, pattern: FFNPattern) -> FFNSite:
    down = _get(block, pattern.down)
    width = in_width(down)
    assert width is not None
    ups = tuple(_get(block, up) for up in pattern.ups)
    return FFNSite(name, ups, down, _get(block, pattern.activation), width, block, pattern.dropout)


def _site_name(model: nn.Module, path: str) -> str:
    parts = path.split(".")
    if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        component, rest = "layers", parts
    else:
        component = next((part for part in parts if part in ("encoder", "decoder")), "")
        rest = parts[parts.index(component) :] if component else []
    index = next((part for part in rest if part.isdigit()), None)
    if index is None:
        raise ModelError(
            f"{_describe(model)}: the feed-forward block {path or '(the model itself)'} isn't in a numbered "
            f"layer{' of the encoder or decoder' if component != 'layers' else ''}; pass the whole model"
        )
    return f"{component}.{index}"


def _position(name: str) -> tuple[int, int]:
    component, index = name.split(".")
    return _ORDER[component], int(index)


def _check_every_layer(model: nn.Module, paths: dict[str, str]) -> None:
    if not paths:
        raise ModelError(
            f"{_describe(model)}: no known feed-forward layers. Register their attribute names, for example "
            "neuronspec.models.patterns.register_ffn_pattern('mine', ups=('linear_in',), down='linear_out', "
            "activation='act'); known: " + "; ".join(FFN_PATTERNS)
        )
    for component in dict.fromkeys(name.split(".")[0] for name in paths):
        found = {int(name.split(".")[1]): path for name, path in paths.items() if name.startswith(component)}
        index, path = next(iter(found.items()))
        parts = path.split(".")
        layers = model.get_submodule(".".join(parts[: parts.index(str(index))]))
        missing = sorted({int(name) for name, _ in layers.named_children() if name.isdigit()} - set(found))
        if missing:
            raise ModelError(
                f"{_describe(model)}: layers {', '.join(map(str, missing))} of {component} have no known "
                f"feed-forward block, though {len(found)} layers have one; register their pattern with "
                "neuronspec.models.patterns.register_ffn_pattern"
            )


def _describe(model: nn.Module) -> str:
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    return f"model type {model_type!r} ({type(model).__name__})" if model_type else f"model {type(model).__name__}"
