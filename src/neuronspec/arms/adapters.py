"""Arms `adapters_*`: bottleneck adapters after every layer of the frozen baseline (Bapna and Firat, 2019).

`adapters_direction` has a set of adapters for every direction. `adapters_family` has one for every family of the
languages other than the pivot, for translation out of the pivot and into it. `adapters_matched` is by family too, with
a bottleneck that makes it as large as `adapters_direction`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import nn
from transformers import PreTrainedModel

from neuronspec.arms.grouped import Added, Grouped, GroupsInfo, Route, own_names
from neuronspec.core.direction import Direction
from neuronspec.core.randomness import torch_seed
from neuronspec.models.layers import Layer, find_layers
from neuronspec.recipe import Recipe


class AdaptersInfo(GroupsInfo):
    """The header of `adapters.safetensors`. Tensors are named `GROUP.SITE.down.weight` and so on."""

    bottleneck: PositiveInt


class DirectionAdapters(Grouped):
    """A set of adapters for every direction."""

    sections: ClassVar[tuple[str, ...]] = ("continuation", "baselines.adapters")
    kind: ClassVar[str] = "adapters"
    info_type: ClassVar[type[GroupsInfo]] = AdaptersInfo

    def route(self, recipe: Recipe, direction: Direction) -> Route:
        return Route(str(direction), str(direction))

    def bottleneck(self, recipe: Recipe, model: PreTrainedModel) -> int:
        """The width of the adapters."""
        return recipe.baselines.adapters.bottleneck

    def info(self, recipe: Recipe, model: PreTrainedModel) -> AdaptersInfo:
        encoder, decoder = self.groups(recipe)
        return AdaptersInfo(encoder=encoder, decoder=decoder, bottleneck=self.bottleneck(recipe, model))

    def put_on(self, model: PreTrainedModel, info: GroupsInfo, seed: int) -> Added:
        assert isinstance(info, AdaptersInfo)
        dense = own_names(model)
        adapters = Adapters(model, info.encoder, info.decoder, info.bottleneck, seed)
        return Added(adapters.parameters, adapters.use, dense)


class FamilyAdapters(DirectionAdapters):
    """A set of adapters for every family.

    A direction belongs to the family of its language other than the pivot. One between two other languages has the
    source's family in the encoder and the target's in the decoder.
    """

    sections: ClassVar[tuple[str, ...]] = ("continuation", "baselines.adapters", "corpus.families")

    def route(self, recipe: Recipe, direction: Direction) -> Route:
        pivot, family = recipe.corpus.pivot, recipe.corpus.family
        source, target = direction.source, direction.target
        return Route(family(target if source == pivot else source), family(source if target == pivot else target))


class MatchedAdapters(FamilyAdapters):
    """A set of adapters for every family, together as close as can be to the size of `adapters_direction`."""

    def bottleneck(self, recipe: Recipe, model: PreTrainedModel) -> int:
        wanted = total_parameters(model, DirectionAdapters().groups(recipe), recipe.baselines.adapters.bottleneck)
        none, one = (total_parameters(model, self.groups(recipe), width) for width in (0, 1))
        return max(1, round((wanted - none) / (one - none)))


def total_parameters(model: nn.Module, groups: tuple[Sequence[str], Sequence[str]], bottleneck: int) -> int:
    """The parameters of all adapters of encoder and decoder groups together."""
    numbers = {"encoder": len(groups[0]), "decoder": len(groups[1])}
    return sum(numbers[layer.side] * adapter_parameters(layer.width, bottleneck) for layer in find_layers(model))


class Adapter(nn.Module):
    """`x + up(relu(down(norm(x))))` (Bapna and Firat, 2019, section 3.1). `up` is 0 at first, so it gives x.

    Args:
        width: of x.
        bottleneck: of what is between `down` and `up`.
        seed: of the weights of `down`, uniform as those of `nn.Linear`. The global random state stays as it was.
    """

    def __init__(self, width: int, bottleneck: int, seed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.utils.skip_init(nn.Linear, width, bottleneck)
        self.up = nn.utils.skip_init(nn.Linear, bottleneck, width)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[batch, time, width]` to the same shape."""
        return hidden + self.up(torch.relu(self.down(self.norm(hidden))))


def adapter_parameters(width: int, bottleneck: int) -> int:
    """The number of parameters of an `Adapter`: norm 2w, down wb + b, up bw + w."""
    return 2 * width + (width * bottleneck + bottleneck) + (bottleneck * width + width)


@dataclass(slots=True)
class _Active:
    route: Route | None = None


class Adapters:
    """An adapter of every group after each layer of a model. Without a route, the model computes as before.

    The adapters are submodules of the layers (`adapters.N`, in the order of the groups), so their parameters are the
    model's.

    Args:
        model: of which any parameters are trained stays as it is.
        encoder: the groups with adapters in the encoder.
        decoder: the groups with adapters in the decoder.
        bottleneck: width of the adapters.
        seed: of their weights.

    Raises:
        ModelError: the layers of `model` aren't known.
    """

    def __init__(
        self, model: nn.Module, encoder: Sequence[str], decoder: Sequence[str], bottleneck: int, seed: int
    ) -> None:
        self._active = _Active()
        self.parameters: dict[str, nn.Parameter] = {}
        groups = {"encoder": list(encoder), "decoder": list(decoder)}
        for layer in find_layers(model):
            self._add(layer, groups[layer.side], bottleneck, seed)

    def use(self, route: Route | None) -> None:
        """From now on compute with the adapters of these groups, or with none."""
        self._active.route = route

    def _add(self, layer: Layer, groups: list[str], bottleneck: int, seed: int) -> None:
        device = next(layer.module.parameters()).device
        adapters = nn.ModuleList(
            Adapter(layer.width, bottleneck, torch_seed(seed, "adapter", group, layer.name)) for group in groups
        ).to(device)
        layer.module.add_module("adapters", adapters)
        for group, adapter in zip(groups, adapters, strict=True):
            self.parameters |= {f"{group}.{layer.name}.{name}": value for name, value in adapter.named_parameters()}
        active, side = self._active, layer.side

        def adapt(module: nn.Module, inputs: tuple[object, ...], output: object) -> object:
            if active.route is None:
                return output
            adapter = adapters[groups.index(getattr(active.route, side))]
            if isinstance(output, tuple):
                return (adapter(output[0]), *output[1:])
            return adapter(output)

        layer.module.register_forward_hook(adapt)
