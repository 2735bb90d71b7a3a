"""Which tokens fire a neuron most: seen in a text sample, under teacher forcing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from neuronspec.core.errors import MaskError, nearest
from neuronspec.models.batch import Batch
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.neurons.positions import counted_positions, side_of
from neuronspec.neurons.recording import _Forward, _in_eval_mode

CONTEXT = 6
"""Tokens shown on each side of the one that fired."""


_SPACES = ("\u2581", "\u0120")
"""How SentencePiece and byte-level BPE write the space in front of a token."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One position at which a neuron fired.

    Args:
        token: the token at that position: in the decoder the one that was read, not the one to be predicted.
        value: of the neuron.
        direction: of the sentence.
        before, after: the text around it, on the same side.
    """

    token: str
    value: float
    direction: str
    before: str
    after: str


def top_tokens(
    model: nn.Module,
    batches: Iterable[Batch],
    neurons: Mapping[str, Sequence[int]],
    tokenizer: Any,
    *,
    number: int = 8,
) -> dict[str, dict[int, list[Firing]]]:
    """The positions of a text sample at which some neurons have their greatest values, one per token.

    Args:
        model: a Hugging Face model; it runs in eval mode and is left as it was.
        batches: the sample, of any directions.
        neurons: by site, the neurons to look at.
        tokenizer: decodes ids (`convert_ids_to_tokens`, `decode`).
        number: positions a neuron, at most; all have a value above 0 and different tokens.

    Returns:
        By site and neuron, the firings with the greatest value first.

    Raises:
        MaskError: no such site or neuron.
    """
    sites = {site.name: site for site in find_ffn_sites(model)}
    chosen = [_checked(sites, name, wanted) for name, wanted in neurons.items()]
    sides = list(dict.fromkeys(side_of(site.name) for site in sites.values()))
    forward = _Forward(model, decoder_only="layers" in sides)
    best = {(site.name, neuron): _Best(number) for site in chosen for neuron in neurons[site.name]}
    seen: dict[str, torch.Tensor] = {}

    def look(site: FFNSite, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen[site.name] = inputs[0].detach()[..., list(neurons[site.name])].float().cpu()

    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_in_eval_mode(model))
        for site in chosen:
            stack.callback(site.down.register_forward_pre_hook(partial(look, site)).remove)
        for batch in batches:
            counted = counted_positions(batch.inputs, sides, forward.pad_id)
            forward(batch)
            for site in chosen:
                ids = _ids(batch, side_of(site.name))
                values = seen[site.name].reshape(*ids.shape, -1).masked_fill(~counted[side_of(site.name)][..., None], 0)
                for column, neuron in enumerate(neurons[site.name]):
                    best[site.name, neuron].offer(str(batch.direction), ids, values[..., column])
    describe = partial(_firing, tokenizer)
    return {
        site.name: {neuron: best[site.name, neuron].firings(describe) for neuron in neurons[site.name]}
        for site in chosen
    }


class _Best:
    """The greatest values seen so far, one per token id: `(value, direction, row of ids, place)`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._found: dict[int, tuple[float, str, list[int], int]] = {}

    def offer(self, direction: str, ids: torch.Tensor, values: torch.Tensor) -> None:
        """Positions of a batch: `ids` and `values` `[batch, time]`."""
        flat = values.flatten()
        for index in flat.sort(descending=True, stable=True).indices[: 4 * self._number].tolist():
            value = float(flat[index])
            row, place = divmod(index, ids.shape[1])
            token = int(ids[row, place])
            if value <= 0:
                break
            if token not in self._found or value > self._found[token][0]:
                self._found[token] = (value, direction, ids[row].tolist(), place)
        kept = sorted(self._found.items(), key=lambda item: -item[1][0])[: self._number]
        self._found = dict(kept)

    def firings(self, describe: Callable[[tuple[float, str, list[int], int]], Firing]) -> list[Firing]:
        return [describe(found) for found in self._found.values()]


def _firing(tokenizer: Any, found: tuple[float, str, list[int], int]) -> Firing:
    value, direction, ids, place = found
    before, after = ids[max(0, place - CONTEXT) : place], ids[place + 1 : place + 1 + CONTEXT]
    left, right = (tokenizer.decode(part, skip_special_tokens=True) if part else "" for part in (before, after))
    token = str(tokenizer.convert_ids_to_tokens(ids[place]))
    if left and token.startswith(_SPACES):
        left += " "
    if right and str(tokenizer.convert_ids_to_tokens(after[0])).startswith(_SPACES):
        right = " " + right.lstrip()
    return Firing(token.lstrip("".join(_SPACES)) or token, round(value, 4), direction, left, right)


def _ids(batch: Batch, side: str) -> torch.Tensor:
    """The tokens that the layers of a side read: `[batch, time]`."""
    if side != "decoder":
        return batch.inputs["input_ids"].cpu()
    if "decoder_input_ids" not in batch.inputs:
        raise MaskError("the batch has no decoder_input_ids, so the tokens that the decoder reads aren't known")
    return batch.inputs["decoder_input_ids"].cpu()


def _checked(sites: Mapping[str, FFNSite], name: str, wanted: Sequence[int]) -> FFNSite:
    if name not in sites:
        raise MaskError(f"no FFN site {name!r}; {nearest(name, sites)}")
    wrong = [neuron for neuron in wanted if not 0 <= neuron < sites[name].width]
    if wrong:
        raise MaskError(f"{name} has neurons 0 to {sites[name].width - 1}, not {wrong[0]}")
    return sites[name]
