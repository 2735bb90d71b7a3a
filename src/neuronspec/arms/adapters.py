"""Arms `adapters_*`: bottleneck adapters after every layer of the frozen baseline (Bapna and Firat, 2019).

`adapters_direction` has a set of adapters for every direction. `adapters_family` has one for every family of the
languages other than the pivot, for translation out of the pivot and into it. `adapters_matched` is by family too, with
a bottleneck that makes it as large as `adapters_direction`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from neuronspec.arms.grouped import Added, Grouped, GroupsInfo, Route, own_names
from neuronspec.core.direction import Direction
from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


class AdaptersInfo(GroupsInfo):
    """The header of `adapters.safetensors`. Tensors are named `GROUP.SITE.down.weight` and so on."""

    bottleneck: PositiveInt


class DirectionAdapters(Grouped):
    """A set of adapters for every direction."""

    sections: ClassVar[tuple[str, ...]] = ("continuation", "baselines.adapters")
    kind: ClassVar[str] = "adapters"
    files: ClassVar[tuple[str, ...]] = ("adapters.safetensors",)
    info_type: ClassVar[type[GroupsInfo]] = AdaptersInfo

    def bottleneck(self, recipe: Recipe, model: PreTrainedModel) -> int:
        """The width of the adapters."""
        return recipe.baselines.adapters.bottleneck

    def info(self, recipe: Recipe, model: PreTrainedModel) -> AdaptersInfo:
        """Give the groups and the width of the adapters; see `Grouped.info`."""
        encoder, decoder = self.groups(recipe)
        return AdaptersInfo(encoder=encoder, decoder=decoder, bottleneck=self.bottleneck(recipe, model))

    def put_on(self, model: PreTrainedModel, info: GroupsInfo, seed: int) -> Added:
        """Add an adapter of each group after every layer; see `Grouped.put_on`."""
        from neuronspec.arms.bottleneck import Adapters

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
        """Give the families of a direction; see `Grouped.route`."""
        pivot, family = recipe.corpus.pivot, recipe.corpus.family
        source, target = direction.source, direction.target
        return Route(family(target if source == pivot else source), family(source if target == pivot else target))


class MatchedAdapters(FamilyAdapters):
    """A set of adapters for every family, together as close as can be to the size of `adapters_direction`."""

    def bottleneck(self, recipe: Recipe, model: PreTrainedModel) -> int:
        """Give the width with which all adapters together are nearest in size to those of `adapters_direction`."""
        wanted = total_parameters(model, DirectionAdapters().groups(recipe), recipe.baselines.adapters.bottleneck)
        none, one = (total_parameters(model, self.groups(recipe), width) for width in (0, 1))
        return max(1, round((wanted - none) / (one - none)))


def total_parameters(model: nn.Module, groups: tuple[Sequence[str], Sequence[str]], bottleneck: int) -> int:
    """The parameters of all adapters of encoder and decoder groups together."""
    from neuronspec.arms.bottleneck import adapter_parameters
    from neuronspec.models.layers import find_layers

    numbers = {"encoder": len(groups[0]), "decoder": len(groups[1])}
    return sum(numbers[layer.side] * adapter_parameters(layer.width, bottleneck) for layer in find_layers(model))
