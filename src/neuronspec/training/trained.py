"""Which parameters are trained, whole or in part, and in which type the others are held.

A parameter that is trained is float32, and so are its gradient and the optimizer's state. Matrices that are frozen stay
in the type that the checkpoint was opened in (`model.dtype`), and autocast brings the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

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


def train_neurons_alone(model: PreTrainedModel) -> None:
    """Freeze all but what goes into the neurons of the FFNs, and their weights in what comes out of them.

    Raises:
        ModelError: the model has no known FFN sites.
    """
    model.requires_grad_(False)
    for site in find_ffn_sites(model):
        for up in site.ups:
            up.requires_grad_(True)
        site.down.weight.requires_grad_(True)


def train_rows(model: PreTrainedModel, rows: Sequence[int]) -> dict[str, Part]:
    """Unfreeze the tables of the vocabulary, for the sake of some of their rows.

    Args:
        model: of which other parameters are frozen or not as they should be.
        rows: ids of the vocabulary, ascending; without any the tables stay as they are.

    Returns:
        By the name of a table, its part with these rows.
    """
    tables = tables_of(model) if rows else []
    for table in tables:
        table.requires_grad_(True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(table)]: Part(0, torch.tensor(rows)) for table in tables}


@dataclass(frozen=True, slots=True)
class Part:
    """The rows or the columns of a parameter that are trained; the others never change.

    Args:
        axis: 0 for rows, 1 for columns.
        places: their indices, LongTensor `[count]`, ascending.
    """

    axis: int
    places: torch.Tensor

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of the part of `tensor`, which has the parameter's form."""
        return tensor.index_select(self.axis, self.places.to(tensor.device))

    def put(self, tensor: torch.Tensor, part: torch.Tensor) -> None:
        """Write the part of `tensor`, in place."""
        tensor.index_copy_(self.axis, self.places.to(tensor.device), part)


def parts_of_neurons(model: PreTrainedModel, neurons: Mapping[str, torch.Tensor]) -> dict[str, Part]:
    """What belongs to some neurons: their rows of the ups, weights and biases, and their columns of `down`'s weight.

    Args:
        model: with the sites.
        neurons: by the name of a site, BoolTensor `[width]`. Sites that aren't named have no part that is trained.

    Returns:
        By the name of a parameter, its part; for all parameters of the ups and for the weight of `down`.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    parts: dict[str, Part] = {}
    for site in find_ffn_sites(model):
        mask = neurons.get(site.name)
        places = torch.empty(0, dtype=torch.long) if mask is None else mask.nonzero().flatten()
        for layer in (*site.ups, site.down):
            axis = int((layer is site.down) != isinstance(layer, Conv1D))
            trained = dict(layer.named_parameters(recurse=False))
            parts[names[trained["weight"]]] = Part(axis, places)
            if layer is not site.down and "bias" in trained:
                parts[names[trained["bias"]]] = Part(0, places)
    return parts


def trained_parameters(model: nn.Module, parts: Mapping[str, Part] | None = None) -> int:
    """How many numbers of a model are trained.

    Args:
        model: whose frozen parameters don't count.
        parts: of the parameters that are trained in part.
    """
    return sum(
        (parameter if parts is None or name not in parts else parts[name].of(parameter)).numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    )


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
