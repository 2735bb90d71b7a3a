"""The Transformer layers of a model: what holds each FFN site, and the linear layers in it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.models.linear import is_linear
from neuronspec.models.sites import find_ffn_sites, out_width


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the encoder or decoder, or of a model that has a decoder alone.

    Args:
        name: of its FFN site, `encoder.N`, `decoder.N` or `layers.N`.
        path: its name in the model.
        module: the layer; it returns its output `[batch, time, width]`, or a tuple that begins with it.
        width: of its output.
    """

    name: str
    path: str
    module: nn.Module
    width: int

    @property
    def side(self) -> str:
        """`encoder` or `decoder`; the layers of a decoder-only model are `decoder`."""
        return "encoder" if self.name.startswith("encoder.") else "decoder"

    @property
    def linear(self) -> dict[str, nn.Module]:
        """The plain linear layers inside, of attention and FFN, by their name in the model."""
        return {f"{self.path}.{name}": module for name, module in self.module.named_modules() if is_linear(module)}


def find_layers(model: nn.Module) -> list[Layer]:
    """The layers of `model`, first the encoder's, then the decoder's, from the first to the last.

    Raises:
        ModelError: its FFN sites aren't known, or not in numbered layers.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    layers = []
    for site in find_ffn_sites(model):
        side, number = site.name.split(".")
        parts = paths[id(site.block)].split(".")
        width = out_width(site.down)
        if width is None:
            raise ModelError(
                f"{type(model).__name__} has no known layers: the projection out of its feed-forward block "
                f"{'.'.join(parts)} is no plain linear layer"
            )
        first = 0 if side == "layers" else parts.index(side)
        path = ".".join(parts[: parts.index(number, first) + 1])
        layers.append(Layer(site.name, path, model.get_submodule(path), width))
    return layers
