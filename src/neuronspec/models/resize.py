"""A model with another vocabulary: its embeddings, its head, and the ids that its configuration names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.core.errors import ModelError
from neuronspec.models.id_map import IdMap

_LISTS = ("suppress_tokens", "begin_suppress_tokens")


def resize(model: PreTrainedModel, ids: IdMap) -> PreTrainedModel:
    """Change the vocabulary of a model, in place: tied embeddings stay tied.

    A kept id has the rows that it had, a new one the mean of those that it starts from, in all tables and in the bias
    of the logits. Ids of the configurations are those of the new vocabulary.

    Args:
        model: of Hugging Face.
        ids: made for its vocabulary.

    Returns:
        The model.

    Raises:
        ModelError: its vocabulary is another one, or its positions depend on an id that changes.
    """
    tables = _tables(model)
    wrong = [rows for module in tables if (rows := module.weight.shape[0]) != ids.rows]
    if wrong:
        raise ModelError(
            f"the model has {wrong[0]:,} rows of embeddings, and its vocabulary was changed for {ids.rows:,}; models "
            "with other vocabularies for sources and for targets can't be changed"
        )
    made: dict[int, nn.Parameter] = {}
    for module in tables:
        weight: Any = module.weight
        if id(weight) not in made:
            made[id(weight)] = nn.Parameter(_rows(weight.data, ids), requires_grad=weight.requires_grad)
    for module in tables:
        module.weight = made[id(module.weight)]
        if isinstance(module, nn.Embedding):
            module.num_embeddings = len(ids.ids)
        else:
            module.out_features = len(ids.ids)
            if module.bias is not None:
                module.bias = nn.Parameter(_rows(module.bias.data, ids), requires_grad=module.bias.requires_grad)
    bias = getattr(model, "final_logits_bias", None)
    if isinstance(bias, torch.Tensor):
        model.register_buffer("final_logits_bias", _rows(bias.T, ids).T.contiguous())
    _change_padding(model, tables, ids)
    _change_sizes(model, ids)
    _change_config(model, ids)
    return model


def counted(model: PreTrainedModel, ids: IdMap) -> IdMap:
    """A change with the parameters of a model, and the bytes that they take, before and after it.

    Args:
        model: after the change.
        ids: the change.
    """
    tables = _tables(model)
    rows = {id(table): table for module in tables for table in (module.weight, getattr(module, "bias", None))
            if table is not None}  # fmt: skip
    gone, size = ids.rows - len(ids.ids), len(ids.ids)
    parameters, taken = model.num_parameters(), sum(each.nbytes for each in model.parameters())
    before = parameters + sum(table.numel() // size * gone for table in rows.values())
    taken_before = taken + sum(table.nbytes // size * gone for table in rows.values())
    return replace(ids, parameters=(before, parameters), bytes=(taken_before, taken))


def _rows(table: torch.Tensor, ids: IdMap) -> torch.Tensor:
    """The rows of a new table `[ids, ...]`, of an old one `[rows, ...]`."""
    found = table[torch.tensor([one if isinstance(one, int) else one[0] for one in ids.ids], device=table.device)]
    for place, one in enumerate(ids.ids):
        if not isinstance(one, int):
            found[place] = table[list(one)].float().mean(dim=0).to(table.dtype)
    return found


def _tables(model: PreTrainedModel) -> list[Any]:
    """All modules with a row for each id: embeddings of encoder and decoder, and the head."""
    heads = [model.get_input_embeddings(), model.get_output_embeddings()]
    if model.config.is_encoder_decoder:
        heads += [getattr(part, "embed_tokens", None) for part in (model.get_encoder(), model.get_decoder())]
    weights = {id(module.weight) for module in heads if module is not None}
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding | nn.Linear) and id(module.weight) in weights
    ]


def _change_padding(model: PreTrainedModel, tables: list[Any], ids: IdMap) -> None:
    mine = {id(module) for module in tables}
    for module in model.modules():
        old = getattr(module, "padding_idx", None)
        if not isinstance(old, int):
            continue
        new = ids.new_ids.get(old)
        if id(module) not in mine and not isinstance(module, PreTrainedModel) and new != old:
            raise ModelError(
                f"the positions of a {type(model).__name__} depend on the id of padding, {old}, which would become "
                f"{new}; leave trim_vocabulary out"
            )
        module.padding_idx = new  # type: ignore[assignment]


def _change_sizes(model: PreTrainedModel, ids: IdMap) -> None:
    """Many models keep the size of the vocabulary as an attribute, which their loss uses."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and getattr(module, "vocab_size", None) == ids.rows:
            module.vocab_size = len(ids.ids)


def _change_config(model: PreTrainedModel, ids: IdMap) -> None:
    configs: list[Any] = [model.config, model.config.get_text_config(), getattr(model, "generation_config", None)]
    for config in {id(one): one for one in configs if one is not None}.values():
        for name, value in list(vars(config).items()):
            if (name.endswith("_token_id") or name in _LISTS) and value is not None:
                setattr(config, name, _renumbered(value, ids))
            elif name in ("vocab_size", "decoder_vocab_size") and isinstance(value, int):
                setattr(config, name, len(ids.ids))


def _renumbered(value: Any, ids: IdMap) -> Any:
    """An id or a list of them; what is gone is left out."""
    if isinstance(value, list):
        return [ids.new_ids[one] for one in value if one in ids.new_ids] or None
    return ids.new_ids.get(value) if isinstance(value, int) else value
