"""Arm `lora`: for every direction, low-rank updates of the frozen baseline's linear layers (Hu et al., 2021).

A layer with weight W computes `W x + (alpha / rank) B A x` with A `[rank, in]` and B `[out, rank]` of the direction.
All linear layers of the Transformer layers have them: attention's projections and the FFN's. The layers are PEFT's.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveInt

from neuronspec.arms.grouped import Added, Grouped, GroupsInfo, Route, own_names
from neuronspec.core.errors import MissingExtraError
from neuronspec.core.randomness import torch_seed
from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


class LoraInfo(GroupsInfo):
    """The header of `lora.safetensors`. Tensors are named `DIRECTION.LAYER.A` and `DIRECTION.LAYER.B`."""

    rank: PositiveInt
    alpha: int = Field(gt=0)


class Lora(Grouped):
    """Low-rank updates for every direction."""

    sections: ClassVar[tuple[str, ...]] = ("continuation", "baselines.lora")
    kind: ClassVar[str] = "lora"
    files: ClassVar[tuple[str, ...]] = ("lora.safetensors",)
    info_type: ClassVar[type[GroupsInfo]] = LoraInfo

    def info(self, recipe: Recipe, model: PreTrainedModel) -> LoraInfo:
        """Give the directions, rank and alpha; see `Grouped.info`."""
        encoder, decoder = self.groups(recipe)
        settings = recipe.baselines.lora
        return LoraInfo(encoder=encoder, decoder=decoder, rank=settings.rank, alpha=settings.alpha)

    def put_on(self, model: PreTrainedModel, info: GroupsInfo, seed: int) -> Added:
        """Replace all linear layers by PEFT's; see `Grouped.put_on`."""
        assert isinstance(info, LoraInfo)
        dense = own_names(model)
        linear = linear_layers(model)
        _inject(model, list(linear), info)
        layers = {name: model.get_submodule(name) for name in linear}
        parameters: dict[str, nn.Parameter] = {}
        for name, layer in layers.items():
            side = info.encoder if linear[name] == "encoder" else info.decoder
            for group in side:
                parameters |= _start(layer, name, group, seed)

        def use(route: Route | None) -> None:
            for name, layer in layers.items():
                layer.set_adapter([getattr(route, linear[name])] if route else [])  # type: ignore[operator]
            for parameter in parameters.values():
                parameter.requires_grad_(True)  # set_adapter freezes what isn't in use; the optimizer knows them all

        use(None)
        wrapped = {f"{name}.{part}": f"{name}.base_layer.{part}" for name in linear for part in ("weight", "bias")}
        return Added(parameters, use, {name: wrapped.get(name, name) for name in dense})


def linear_layers(model: nn.Module) -> dict[str, str]:
    """By name, the linear layers inside of encoder and decoder layers, with their side.

    Raises:
        ModelError: the layers of `model` aren't known.
    """
    from neuronspec.models.layers import find_layers

    return {name: layer.side for layer in find_layers(model) for name in layer.linear}


def _inject(model: nn.Module, names: list[str], info: LoraInfo) -> None:
    """Replace linear layers by PEFT's, with an adapter of each group's name.

    Raises:
        MissingExtraError: PEFT isn't installed.
    """
    import torch

    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtraError("peft", "baselines", "the arm 'lora'") from None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # weights drawn here are drawn again by `_start`
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # of the direction before
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")  # PEFT sets it as GPT-2's layers need it
        for group in sorted({*info.encoder, *info.decoder}):
            config = LoraConfig(r=info.rank, lora_alpha=info.alpha, lora_dropout=0.0, target_modules=list(names))
            inject_adapter_in_model(config, model, adapter_name=group)


def _start(layer: Any, name: str, group: str, seed: int) -> dict[str, nn.Parameter]:
    """A uniform as the weight of `nn.Linear`, by the seed alone; B zero. Both, by their name in the file."""
    import torch
    from torch import nn

    down, up = layer.lora_A[group].weight, layer.lora_B[group].weight
    generator = torch.Generator().manual_seed(torch_seed(seed, "lora", group, name))
    drawn = torch.empty(down.shape, dtype=torch.float32)
    down.data.copy_(nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator))
    nn.init.zeros_(up)
    return {f"{group}.{name}.A": down, f"{group}.{name}.B": up}
