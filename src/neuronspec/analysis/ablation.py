"""Turning neurons off; and the causal check, which measures what every direction loses without a direction's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from neuronspec.analysis.overlap import compared_directions
from neuronspec.analysis.sharing import characteristic_neurons
from neuronspec.core.direction import Direction
from neuronspec.core.errors import MaskError, ModelError, nearest
from neuronspec.core.progress import SILENT, Progress, Task
from neuronspec.models.batch import Batch
from neuronspec.models.dispatch import device_of
from neuronspec.models.frames import IGNORED
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.positions import side_of
from neuronspec.scoring.intervals import Interval, over_units
from neuronspec.training.loss import sentence_nats, target_labels

NeuronSet = Mapping[str, torch.Tensor]
"""Neurons by site: LongTensor of indices."""


DRAWS = 10
"""Sets of random neurons that are turned off: the differences are held against their mean, so it must be known well."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """The ablation matrix of one side of the model.

    Args:
        side: `encoder`, `decoder` or `layers`: where neurons were turned off.
        neurons: turned off at each site, by site.
        rows: the directions whose neurons were turned off, one after the other.
        columns: the directions whose loss was measured.
        dense: their loss with all neurons on, in nats per target token.
        loss: `[rows, columns]` with the row's neurons off.
        random: `[draws, columns]` with as many random neurons off.
        sentences: that the loss was measured on, per direction.
        errors: of `own()`, `others()` and `by_chance()`, by row: half of the 95% interval for other sentences,
            `[3, rows]`; empty for a single sentence, and in files from before.
    """

    side: str
    neurons: dict[str, int]
    rows: list[str]
    columns: list[str]
    dense: list[float]
    loss: list[list[float]]
    random: list[list[float]]
    sentences: int
    errors: list[list[float]] = field(default_factory=list)

    def own(self) -> list[float]:
        """What each row's direction loses without its own neurons, in nats per token."""
        places = [self.columns.index(row) for row in self.rows]
        return [self.loss[row][place] - self.dense[place] for row, place in enumerate(places)]

    def others(self) -> list[float]:
        """What each row's direction loses without as many neurons of another direction, mean over these."""
        means = []
        for row, name in enumerate(self.rows):
            place = self.columns.index(name)
            losses = [self.loss[other][place] - self.dense[place] for other in range(len(self.rows)) if other != row]
            means.append(sum(losses) / len(losses) if losses else 0.0)
        return means

    def above_others(self) -> tuple[float, Interval | None]:
        """How much more a direction loses without its own neurons than without another's: mean over directions.

        With the 95% interval for other directions of this kind; None for a single one.
        """
        return _mean_gain(self.own(), self.others())

    def above_chance(self) -> tuple[float, Interval | None]:
        """The same against random neurons."""
        return _mean_gain(self.own(), self.by_chance())

    def by_chance(self) -> list[float]:
        """What each row's direction loses without as many random neurons, mean over draws."""
        places = [self.columns.index(row) for row in self.rows]
        return [sum(draw[place] for draw in self.random) / len(self.random) - self.dense[place] for place in places]


def _mean_gain(own: Sequence[float], other: Sequence[float]) -> tuple[float, Interval | None]:
    gains = [mine - theirs for mine, theirs in zip(own, other, strict=True)]
    return sum(gains) / len(gains), over_units(gains)


def ablation_matrices(
    model: nn.Module,
    acts: Activations,
    batches: Mapping[str, Sequence[Batch]],
    *,
    pivot: str | None,
    share: float = 0.05,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> list[Ablation]:
    """The ablation matrix of each side of a model.

    A direction's neurons are the `share` of each site that fire more in it than in the directions it is compared with
    (`characteristic_neurons`), so all directions have equally many. They are turned off by setting their value to 0.
    The encoder's are compared among the directions into the pivot, the decoder's among those out of it.

    Args:
        model: in eval mode; left as it was.
        acts: recorded activations of the model.
        batches: by direction, the text that the loss is measured on; with `labels`.
        pivot: the language in the middle.
        share: of a site's neurons that is turned off; at least one neuron.
        draws: of random neurons.
        seed: of the draws.
        progress: shows how many losses are measured; `ablation_steps` says how many there are.

    Raises:
        MaskError: there is no text, or the batches have no labels.
    """
    if not batches or not all(batches.values()):
        raise MaskError("the causal check needs text to measure the loss on; some direction has none")
    for batch in (one for part in batches.values() for one in part if "labels" not in one.inputs):
        raise MaskError(f"a batch of {batch.direction} has no labels, so its loss can't be measured")
    with progress.task("turning neurons off", ablation_steps(acts, list(batches), pivot, draws)) as task:
        return _matrices(_Measure(model, batches, task), acts, pivot, share, draws, seed)


def _matrices(
    measure: _Measure, acts: Activations, pivot: str | None, share: float, draws: int, seed: int
) -> list[Ablation]:
    sites, columns = list(measure.sites.values()), list(measure.batches)
    dense = measure({})
    results = []
    for side in dict.fromkeys(side_of(site.name) for site in sites):
        own = [site for site in sites if side_of(site.name) == side]
        rows = _rows(acts, columns, side, pivot)
        if len(rows) < 2:
            continue
        sizes = {site.name: max(1, round(share * site.width)) for site in own}
        ranked = {site.name: characteristic_neurons(acts, site.name, rows, sizes[site.name]) for site in own}
        off = [measure({site: ranked[site][row] for site in ranked}) for row in range(len(rows))]
        random = [measure(_random(own, sizes, seed + draw)) for draw in range(draws)]
        names = [str(direction) for direction in rows]
        losses, drawn = ([[*map(measure.loss, columns, nats)] for nats in found] for found in (off, random))
        sentences = min(map(len, measure.tokens.values()))
        errors = [
            _errors(measure.tokens[name], columns.index(name), row, dense, off, random)
            for row, name in enumerate(names if sentences > 1 else ())
        ]
        before = [*map(measure.loss, columns, dense)]
        halves = [list(part) for part in zip(*errors, strict=True)]
        results.append(Ablation(side, sizes, names, columns, before, losses, drawn, sentences, halves))
    return results


Nats = Sequence[np.ndarray]
"""By direction, the summed loss of each sentence."""


def _errors(
    tokens: np.ndarray, column: int, row: int, dense: Nats, off: Sequence[Nats], random: Sequence[Nats]
) -> list[float]:
    """Half of the intervals of what a direction loses without its own neurons, others', and random ones."""
    sets = ([off[row]], [nats for at, nats in enumerate(off) if at != row], random)
    return [
        _half_interval(np.mean([nats[column] for nats in chosen], axis=0) - dense[column], tokens) for chosen in sets
    ]


def _half_interval(rises: np.ndarray, tokens: np.ndarray) -> float:
    """Of a ratio of sums over sentences, linearised: rise in nats per token."""
    ratio = rises.sum() / tokens.sum()
    found = over_units(list(ratio + (rises - ratio * tokens) * len(tokens) / tokens.sum()))
    return 0.0 if found is None else (found.high - found.low) / 2


def ablation_steps(acts: Activations, directions: Sequence[str], pivot: str | None, draws: int = DRAWS) -> int:
    """How many losses `ablate` measures."""
    sides = dict.fromkeys(map(side_of, acts.sites))
    rows = [len(_rows(acts, directions, side, pivot)) for side in sides]
    return len(directions) * (1 + sum(number + draws for number in rows if number > 1))


def _rows(acts: Activations, columns: Sequence[str], side: str, pivot: str | None) -> list[Direction]:
    measured = [direction for direction in acts.directions if str(direction) in columns]
    return compared_directions(measured, f"{side}.0", pivot)


class _Measure:
    """The loss of every direction, sentence by sentence, with some neurons off."""

    def __init__(self, model: Any, batches: Mapping[str, Sequence[Batch]], task: Task) -> None:
        self._model, self.batches, self._task = model, batches, task
        self.sites = {site.name: site for site in find_ffn_sites(model)}
        self._device = device_of(model)
        self.tokens = {
            name: np.concatenate([(target_labels(model, batch) != IGNORED).sum(1).numpy(force=True) for batch in part])
            for name, part in batches.items()
        }

    def __call__(self, off: NeuronSet) -> list[np.ndarray]:
        found = []
        masks = {name: _mask(self.sites[name].width, neurons) for name, neurons in off.items()}
        with ablate(self._model, masks):
            for batches in self.batches.values():
                parts = [sentence_nats(self._model, batch.to(self._device)) for batch in batches]
                found.append(torch.cat(parts).numpy(force=True))
                self._task.advance()
        return found

    def loss(self, name: str, nats: np.ndarray) -> float:
        """Nats per token of a direction."""
        return float(nats.sum() / max(self.tokens[name].sum(), 1))


@contextmanager
def ablate(model: nn.Module, masks: NeuronMasks | Mapping[str, torch.Tensor]) -> Iterator[None]:
    """During the block, some neurons give 0: their value, the input of `down`, is set to it at every position.

    Blocks nest: the neurons of all are off. In a specialized model neurons that its masks leave out are turned off
    too, and give 0 in place of their constant. The model itself isn't changed.

    Args:
        model: any with known FFN sites, also dispatched by accelerate, or wrapped.
        masks: the neurons that are turned off: by site a BoolTensor `[width]`, such as `masks["en-de"]`. Sites that
            aren't named stay as they are. Or masks of one direction or language.

    Raises:
        MaskError: masks of several directions, or such as don't fit the model.
        ModelError: the model's FFN sites aren't known; or, in a forward pass, its layers compute the selected neurons
            alone (`specialize(method="compact")`).

    Examples:
        >>> inputs = batches[0].inputs
        >>> with ns.ablate(model, masks["en-de"]):
        ...     without = model(**inputs).loss
        >>> without != model(**inputs).loss
        tensor(True)
    """
    sites = {site.name: site for site in find_ffn_sites(model)}
    off = _neurons_off(masks, sites)
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name, mask in off.items():
            stack.callback(sites[name].down.register_forward_pre_hook(_zeroing(name, mask)).remove)
        yield


def _neurons_off(
    masks: NeuronMasks | Mapping[str, torch.Tensor], sites: Mapping[str, FFNSite]
) -> Mapping[str, torch.Tensor]:
    if isinstance(masks, NeuronMasks):
        if len(masks) > 1:
            names = list(masks)
            raise MaskError(
                f"masks of {len(names)} directions: say whose neurons shall be off, as masks[{names[0]!r}] of "
                f"{', '.join(names)}"
            )
        masks = next(iter(masks.values()))
    for name, mask in masks.items():
        if name not in sites:
            raise MaskError(f"the model has no FFN site {name!r}; {nearest(str(name), sites)}")
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or mask.shape != (sites[name].width,):
            seen = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise MaskError(f"the mask at {name} is {seen}: expected a BoolTensor [{sites[name].width}]")
    return masks


def _zeroing(name: str, mask: torch.Tensor) -> Callable[..., tuple[torch.Tensor, ...]]:
    on_device: dict[torch.device, torch.Tensor] = {}

    def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        values = inputs[0]
        if values.shape[-1] != len(mask):
            raise ModelError(
                f"{name} computes {values.shape[-1]} of its {len(mask)} neurons, so others can't be told to be off: "
                "specialize with method='auto' or 'rows'"
            )
        off = on_device.setdefault(values.device, mask.to(values.device))
        return (values.masked_fill(off, 0), *inputs[1:])

    return hook


def _mask(width: int, neurons: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(width, dtype=torch.bool)
    mask[neurons] = True
    return mask


def _random(sites: Sequence[FFNSite], sizes: Mapping[str, int], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {site.name: torch.randperm(site.width, generator=generator)[: sizes[site.name]] for site in sites}
