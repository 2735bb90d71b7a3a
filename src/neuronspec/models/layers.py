"""The Transformer layers of an encoder-decoder model: what holds each FFN site."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.models.sites import find_ffn_sites, out_width


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the encoder or decoder.

    Args:
        name: of its FFN site, `encoder.N` or `decoder.N`.
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
        """`encoder` or `decoder`."""
        return self.name.partition(".")[0]


def find_layers(model: nn.Module) -> list[Layer]:
    """The layers of `model`, first the encoder's, then the decoder's, from the first to the last.

    Raises:
        ModelError: its FFN sites aren't known, or it isn't an encoder-decoder model.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    layers = []
    for site in find_ffn_sites(model):
        side, number = site.name.split(".")
        parts = paths[id(site.block)].split(".")
        width = out_width(site.down)
        if side not in ("encoder", "decoder") or width is None:
            raise ModelError(
                f"{type(model).__name__} is not an encoder-decoder model with known layers: its feed-forward block "
                f"{'.'.join(parts)} isn't in a numbered layer of an encoder or a decoder"
            )
        path = ".".join(parts[: parts.index(number, parts.index(side)) + 1])
        layers.append(Layer(site.name, path, model.get_submodule(path), width))
    return layers
