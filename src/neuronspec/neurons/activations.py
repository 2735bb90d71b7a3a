"""Recorded activations: how often and how strongly each neuron fires in each direction, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from neuronspec.core.by_direction import ByDirection
from neuronspec.core.direction import Direction
from neuronspec.core.errors import MaskError
from neuronspec.core.table import Table
from neuronspec.core.tensor_files import Header, damaged, read_tensors, write_tensors
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Positions, Statistic

FORMAT_VERSION = 1

_RECTIFIERS = ("relu", "reluactivation", "relu6", "relusquaredactivation")
"""Names of activations that are 0 for all values below 0."""


class SiteInfo(Header):
    """What a recorded FFN site was.

    Args:
        name: `encoder.N`, `decoder.N` or `layers.N`.
        width: number of neurons.
        activation: name of the activation function.
        gated: whether a second projection multiplies the activation.
        keeps_sign: whether the activation of x is > 0 exactly where x > 0, as in ReLU, GELU and SiLU.
    """

    name: str
    width: int
    activation: str
    gated: bool
    keeps_sign: bool

    @property
    def counts_mean_firing(self) -> bool:
        """Whether a value > 0 means that the neuron fired, and any other that it was silent: behind a ReLU.

        Behind a gate, or an activation that is always positive, the sign of the value says nothing about that. GELU and
        SiLU let negative values through, so a neuron is hardly ever silent, and those that matter have large values.
        """
        return self.keeps_sign and not self.gated and self.activation.lower() in _RECTIFIERS


class RecordingInfo(Header):
    """What was recorded: the model's sites, its fingerprint, which positions count, and whether padding does.

    `precision` is what products were computed in; None in files from before.
    """

    sites: tuple[SiteInfo, ...]
    fingerprint: str
    positions: Positions = "both"
    count_padding: bool = False
    precision: str | None = None


class _FileHeader(RecordingInfo):
    directions: tuple[str, ...]


class Activations:
    """Recorded activations, by direction (`"en-de"` or `Direction`) and site.

    Args:
        info: what was recorded.
        counts: `counts["en-de"]["decoder.0"]` LongTensor `[width]`: positions at which the neuron's value, the
            input of `down`, is > 0. Padding doesn't count, unless `info.count_padding` says so.
        magnitudes: DoubleTensor `[width]`: sum of |value| over the positions.
        tokens: number of positions.

    Examples:
        >>> acts = ns.record_activations(model, batches[:1]) + ns.record_activations(model, batches[1:])
        >>> acts.directions
        (Direction(source='de', target='en'), Direction(source='en', target='de'))
        >>> acts.save(folder / "activations.safetensors")
        >>> ns.Activations.load(folder / "activations.safetensors").tokens["en-de"]["decoder.0"]
        15
    """

    def __init__(
        self,
        info: RecordingInfo,
        counts: Mapping[Any, Mapping[str, torch.Tensor]],
        magnitudes: Mapping[Any, Mapping[str, torch.Tensor]],
        tokens: Mapping[Any, Mapping[str, int]],
    ) -> None:
        self.info = info
        self.counts: ByDirection[Mapping[str, torch.Tensor]] = ByDirection(counts, "activations")
        self.magnitudes: ByDirection[Mapping[str, torch.Tensor]] = ByDirection(magnitudes, "activations")
        self.tokens: ByDirection[Mapping[str, int]] = ByDirection(tokens, "activations")

    def __repr__(self) -> str:
        return (
            f"Activations({len(self.directions)} directions, {len(self.sites)} sites, {self._positions():,} positions)"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the positions by direction and side, and how many neurons fire there on average."""
        sides = list(dict.fromkeys(map(side_of, self.sites)))
        rows: list[list[str]] = []
        for direction, counts in self.counts.items():
            cells: list[str] = [direction]
            for side in sides:
                own = [site for site in self.sites if side_of(site) == side]
                fired = sum(int(counts[site].sum()) for site in own)
                places = sum(self.tokens[direction][site] * self.widths[site] for site in own)
                cells += [f"{self.tokens[direction][own[0]]:,}", f"{fired / max(places, 1):.1%}"]
            rows.append(cells)
        heads = [head for side in sides for head in (f"positions, {side}", "of neurons > 0")]
        return Table(repr(self), ["direction", *heads], rows)._repr_html_()

    def _positions(self) -> int:
        """Over all directions, at the first site of each side."""
        first = {side_of(site): site for site in reversed(self.sites)}
        return sum(tokens[site] for tokens in self.tokens.values() for site in first.values())

    @property
    def statistic(self) -> Statistic:
        """What neurons are selected by unless something else is asked for: `count` where it means that they fired."""
        return "count" if all(site.counts_mean_firing for site in self.info.sites) else "magnitude"

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The recorded directions, sorted."""
        return self.counts.directions

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the recorded sites."""
        return tuple(site.name for site in self.info.sites)

    @property
    def widths(self) -> dict[str, int]:
        """Number of neurons by site."""
        return {site.name: site.width for site in self.info.sites}

    def __add__(self, other: Activations) -> Activations:
        """The activations of both recordings together, as if recorded in one pass.

        Raises:
            MaskError: the recordings are of different models, sites, positions or precisions.
        """
        if not isinstance(other, Activations):
            return NotImplemented
        for field in RecordingInfo.model_fields:
            mine, theirs = getattr(self.info, field), getattr(other.info, field)
            if mine != theirs and not (field == "precision" and None in (mine, theirs)):
                raise MaskError(f"activations can't be added: their {field} differ: {mine} and {theirs}")
        sums = [
            _added(mine, theirs)
            for mine, theirs in (
                (self.counts, other.counts),
                (self.magnitudes, other.magnitudes),
                (self.tokens, other.tokens),
            )
        ]
        return Activations(self.info, *sums)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; `path` is complete or as it was before.

        Header: `sites` (name, width, activation, gated, keeps_sign), `fingerprint`, `positions`, `count_padding`,
        `directions`.
        Tensors, with one row per direction in the header's order: `counts/SITE` int64 `[directions, width]`,
        `magnitudes/SITE` float64 `[directions, width]`, `tokens` int64 `[directions, sites]`.

        Raises:
            MaskError: the file can't be written.
        """
        names = tuple(self.counts)
        tensors = {"tokens": torch.tensor([[self.tokens[name][site] for site in self.sites] for name in names])}
        for site in self.sites:
            tensors[f"counts/{site}"] = torch.stack([self.counts[name][site] for name in names])
            tensors[f"magnitudes/{site}"] = torch.stack([self.magnitudes[name][site] for name in names])
        header = _FileHeader(directions=names, **dict(self.info))
        write_tensors(path, "activations", FORMAT_VERSION, header, tensors)

    @classmethod
    def load(cls, path: str | Path) -> Activations:
        """Read a file that `save` wrote.

        Raises:
            MaskError: there is no such file, it is damaged, something else, or of a newer version.
        """
        header, tensors = read_tensors(path, "activations", FORMAT_VERSION, _FileHeader)
        info = RecordingInfo(**header.model_dump(exclude={"directions"}))
        _check_shapes(path, header, tensors)
        counts, magnitudes = (
            {
                name: {site.name: tensors[f"{part}/{site.name}"][row] for site in info.sites}
                for row, name in enumerate(header.directions)
            }
            for part in ("counts", "magnitudes")
        )
        tokens = {
            name: dict(zip((site.name for site in info.sites), row, strict=True))
            for name, row in zip(header.directions, tensors["tokens"].tolist(), strict=True)
        }
        return cls(info, counts, magnitudes, tokens)


def _added(mine: ByDirection[Any], theirs: ByDirection[Any]) -> dict[str, dict[str, Any]]:
    """The union of directions; where both have one, its sites' values added."""
    names = {**dict.fromkeys(mine), **dict.fromkeys(theirs)}
    parts = {name: [part[name] for part in (mine, theirs) if name in part] for name in names}
    return {name: {site: sum(part[site] for part in found) for site in found[0]} for name, found in parts.items()}


def _check_shapes(path: str | Path, header: _FileHeader, tensors: Mapping[str, torch.Tensor]) -> None:
    rows = len(header.directions)
    expected = {"tokens": ((rows, len(header.sites)), torch.int64)}
    for site in header.sites:
        expected[f"counts/{site.name}"] = ((rows, site.width), torch.int64)
        expected[f"magnitudes/{site.name}"] = ((rows, site.width), torch.float64)
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise damaged(path, "activations", f"{name} is {found.get(name)}, its header says {expected.get(name)}")
