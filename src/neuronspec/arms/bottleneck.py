"""Bottleneck adapters on the layers of a model, and which of them it computes with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from neuronspec.arms.grouped import Route
from neuronspec.core.randomness import torch_seed
from neuronspec.models.layers import Layer, find_layers


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
        own = next(layer.module.parameters())
        adapters = nn.ModuleList(
            Adapter(layer.width, bottleneck, torch_seed(seed, "adapter", group, layer.name)) for group in groups
        ).to(own.device, own.dtype)
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
