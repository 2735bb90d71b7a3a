"""Which parameters are trained, and in which type the others are held.

A parameter that is trained is float32, and so are its gradient and the optimizer's state. Matrices that are frozen stay
in the type that the checkpoint was opened in (`model.dtype`), and autocast brings the two together.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.core.errors import ModelError
from neuronspec.models.sites import find_ffn_sites


def train_ffns_alone(model: PreTrainedModel) -> None:
    """Freeze all but the linear layers of the FFNs: their weights and biases.

    Raises:
        ModelError: the model has no known FFN sites.
    """
    model.requires_grad_(False)
    for site in find_ffn_sites(model):
        for layer in (*site.ups, site.down):
            layer.requires_grad_(True)


def freeze_embeddings(model: PreTrainedModel) -> None:
    """Freeze the tables with a row for each piece of the vocabulary: of the inputs, and the output projection.

    Raises:
        ModelError: nothing else is trained.
    """
    for table in tables_of(model):
        table.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError("freeze_embeddings leaves nothing to train: set it to false")


def tables_of(model: PreTrainedModel) -> list[nn.Parameter]:
    """The weights with a row for each piece of the vocabulary; one that is shared occurs once."""
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    if model.config.is_encoder_decoder:
        modules += [part.get_input_embeddings() for part in (model.get_encoder(), model.get_decoder())]
    tables = {id(module.weight): module.weight for module in modules if module is not None}
    return list(tables.values())


class Widened:
    """A model whose trained parameters are float32, until `undo`.

    Norms and biases are float32 too, trained or not: they take next to no memory, and the kernels of some devices want
    them so.

    Args:
        model: changed in place; the parameters stay the same objects.
    """

    def __init__(self, model: nn.Module) -> None:
        self._types: list[tuple[nn.Parameter, torch.dtype]] = []
        for parameter in model.parameters():
            narrow = parameter.dtype in (torch.bfloat16, torch.float16)
            if narrow and (parameter.requires_grad or parameter.dim() < 2):
                self._types.append((parameter, parameter.dtype))
                parameter.data = parameter.data.float()

    def undo(self) -> None:
        """Give every parameter the type that it had."""
        for parameter, dtype in self._types:
            parameter.data = parameter.data.to(dtype)
        self._types = []
