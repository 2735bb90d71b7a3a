"""Masks: which neurons of each FFN site each direction uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import torch

from neuronspec.core.by_direction import ByDirection
from neuronspec.core.direction import Direction, DirectionLike, languages_of, nearest_directions, parse_task
from neuronspec.core.errors import DirectionError, MaskError, nearest
from neuronspec.core.languages import choose_language
from neuronspec.core.table import Table
from neuronspec.neurons.packing import MaskInfo, pack, read_masks, write_masks
from neuronspec.neurons.positions import side_of

DirectionMask = Mapping[str, torch.Tensor]


class SiteLike(Protocol):
    """What masks need to know of a site of a model."""

    @property
    def name(self) -> str:
        """Such as `decoder.0`."""

    @property
    def width(self) -> int:
        """Number of neurons."""


@dataclass(frozen=True, slots=True)
class DerivedMask:
    """The masks that serve one direction, and where they come from.

    Args:
        direction: the direction served.
        masks: BoolTensor `[width]` by site.
        encoder, decoder: the directions that the encoder's and the decoder's masks were selected for.
    """

    direction: Direction
    masks: DirectionMask
    encoder: Direction
    decoder: Direction

    @property
    def composed(self) -> bool:
        """Whether the direction has no masks of its own (zero-shot)."""
        return self.encoder != self.direction or self.decoder != self.direction


class NeuronMasks(ByDirection[DirectionMask]):
    """The selected neurons by direction and site: `masks["en-de"]["decoder.0"]` is a BoolTensor `[width]` on the CPU.

    A read-only mapping whose keys are `str`, sorted; lookup takes `str` or `Direction`. Every direction has the
    same sites. Directions whose masks of a site are equal share one tensor, so don't change one in place.

    Raises:
        MaskError: a mask isn't a BoolTensor `[width]`, or directions differ in their sites or widths.

    Examples:
        >>> masks = ns.NeuronMasks.from_dict(
        ...     {
        ...         "en-de": {"decoder.0": torch.tensor([True, True, False, False])},
        ...         "en-fr": {"decoder.0": torch.tensor([True, False, False, False])},
        ...     }
        ... )
        >>> masks.sparsity(), masks.sparsity("direction")
        (0.625, {'en-de': 0.5, 'en-fr': 0.75})
        >>> masks.save(folder / "masks.safetensors")
        >>> ns.NeuronMasks.load(folder / "masks.safetensors") == masks
        True
    """

    def __init__(self, masks: Mapping[Any, DirectionMask], info: MaskInfo | None = None) -> None:
        super().__init__(masks, "masks")
        self.info = info or MaskInfo()
        if not self._items:
            raise MaskError("masks need at least one direction")
        if not any(self._items.values()):
            raise MaskError("masks need at least one site")
        for direction, sites in self._items.items():
            _check_masks(direction, sites)
        self.widths: dict[str, int] = {site: len(mask) for site, mask in next(iter(self._items.values())).items()}
        for direction, sites in self._items.items():
            found = {site: len(mask) for site, mask in sites.items()}
            if found != self.widths:
                difference = _difference(found, self.widths, "here", f"in {next(iter(self._items))}")
                raise MaskError(f"masks of {direction}: {difference}")
        self._items = _shared(self._items, list(self.widths))

    @classmethod
    def from_dict(cls, masks: Mapping[Any, Mapping[str, torch.Tensor]], info: MaskInfo | None = None) -> NeuronMasks:
        """Make masks from `{"en-de": {"decoder.0": BoolTensor [width]}}`.

        Args:
            masks: by direction (`str` or `Direction`) and site, BoolTensor `[width]`.
            info: where the masks come from.

        Raises:
            MaskError: a mask isn't a BoolTensor `[width]`, or directions differ in their sites or widths.
            DirectionError: a direction can't be parsed.
        """
        return cls(masks, info)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the sites, in the model's order."""
        return tuple(self.widths)

    def with_info(self, **fields: Any) -> NeuronMasks:
        """The same masks with some fields of `info` changed: `masks.with_info(semantics="neuron")`."""
        return NeuronMasks(self._items, MaskInfo(**{**dict(self.info), **fields}))

    @overload
    def sparsity(self) -> float: ...
    @overload
    def sparsity(self, by: Literal["direction", "site"]) -> dict[str, float]: ...  # type: ignore[overload-overlap]
    @overload
    def sparsity(self, by: DirectionLike) -> float: ...
    def sparsity(self, by: DirectionLike | None = None) -> float | dict[str, float]:
        """The share of unselected neurons, in [0, 1].

        Args:
            by: `direction` or `site` for a dict; a direction (`en-de`) for its own; everything together without it.

        Raises:
            DirectionError, MaskError: there are no masks for the direction; it is none of these.
        """
        if by is None:
            return _sparsity([mask for sites in self.values() for mask in sites.values()])
        if by == "direction":
            return {direction: _sparsity(list(sites.values())) for direction, sites in self.items()}
        if by == "site":
            return {site: _sparsity([sites[site] for sites in self.values()]) for site in self.sites}
        if isinstance(by, str) and "-" not in by and by not in self:
            raise MaskError(f"sparsity by {by!r}: {nearest(by, ['direction', 'site'])}, or a direction such as en-de")
        return _sparsity(list(self[by].values()))

    def compose(self, direction: DirectionLike, *, encoder: DirectionLike, decoder: DirectionLike) -> NeuronMasks:
        """Add masks for a zero-shot direction, composed of those of two others.

        `info.composed` records where they come from.

        Args:
            direction: the direction without masks, such as `de-fr`.
            encoder: the direction whose encoder masks it gets, such as `de-en`.
            decoder: the direction whose decoder masks it gets, such as `en-fr`.

        Returns:
            These masks and the new ones.

        Raises:
            DirectionError: `direction` has masks already, or one of the others has none.
            MaskError: the sites are those of a decoder-only model.
        """
        name = str(self.named(direction))
        if name in self:
            raise DirectionError(f"{name} has masks already; compose is for directions without")
        derived = self._composed(parse_task(name), self.named(encoder), self.named(decoder))
        origin = {name: (str(derived.encoder), str(derived.decoder))}
        info = self.info.model_copy(update={"composed": self.info.composed | origin})
        return NeuronMasks({**self._items, name: derived.masks}, info)

    def for_direction(self, direction: DirectionLike, pivot: str | None = None) -> DerivedMask:
        """The masks of a direction: its own, or for `de-fr` the encoder's of `de-en` and the decoder's of `en-fr`.

        Args:
            direction: the direction to serve.
            pivot: the language in the middle; needed only where several would do and give different masks.

        Raises:
            DirectionError: the direction has no masks and none can be composed, or the pivot is none or must be named.
            MaskError: none of its own, and the sites are those of a decoder-only model.
        """
        wanted = self.named(direction)
        if wanted in self:
            encoder, decoder = self.info.composed.get(str(wanted), (str(wanted), str(wanted)))
            return DerivedMask(wanted, self[wanted], parse_task(encoder), parse_task(decoder))
        if pivot is not None:
            pivot = choose_language(pivot, languages_of(self.directions), "the masks have")
        into = [own.target for own in self.directions if own.source == wanted.source]
        out_of = [own.source for own in self.directions if own.target == wanted.target]
        pivots = [code for code in into if code in out_of and pivot in (None, code)]
        if not pivots:
            middle = pivot or "PIVOT"
            raise DirectionError(
                f"no masks for direction {wanted}, and none to compose them from ({wanted.source}-{middle} and "
                f"{middle}-{wanted.target}); {nearest_directions(wanted, self)}"
            )
        found = [self._composed(wanted, Direction(wanted.source, p), Direction(p, wanted.target)) for p in pivots]
        if any(mask is not found[0].masks[site] for each in found for site, mask in each.masks.items()):
            raise DirectionError(f"masks for {wanted} can be composed over {', '.join(pivots)}: say which with pivot=")
        return found[0]

    def selected_by(self, directions: Iterable[DirectionLike]) -> dict[str, torch.Tensor]:
        """The neurons that at least one of some directions selects.

        Args:
            directions: that there are masks for.

        Returns:
            By site, BoolTensor `[width]`.
        """
        own = [self[self.named(direction)] for direction in directions]
        return {site: torch.stack([masks[site] for masks in own]).any(0) for site in self.sites}

    def validate_against(self, sites: Iterable[SiteLike]) -> None:
        """Check that these masks fit a model: the same sites with the same widths.

        Args:
            sites: `find_ffn_sites(model)`, or those of them that shall have masks.

        Raises:
            MaskError: they differ; the message says where.
        """
        widths = {site.name: site.width for site in sites}
        if widths != self.widths:
            difference = _difference(self.widths, widths, "in the masks", "in the model")
            raise MaskError(f"the masks are of another model: {difference}")

    def __or__(self, other: NeuronMasks) -> NeuronMasks:
        """Neurons selected in either; both must have the same directions and sites."""
        return self._combined(other, "|", torch.logical_or)

    def __and__(self, other: NeuronMasks) -> NeuronMasks:
        """Neurons selected in both."""
        return self._combined(other, "&", torch.logical_and)

    def __sub__(self, other: NeuronMasks) -> NeuronMasks:
        """Neurons selected in the first and not in the second."""
        return self._combined(other, "-", lambda mine, theirs: mine & ~theirs)

    def __invert__(self) -> NeuronMasks:
        """Neurons that aren't selected."""
        inverted = {name: {site: ~mask for site, mask in sites.items()} for name, sites in self.items()}
        return NeuronMasks(inverted, self._derived_info(f"~{self.info.criterion}", self.info.composed))

    def __eq__(self, other: object) -> bool:
        """Whether directions, sites and selected neurons are the same; `info` doesn't matter."""
        if not isinstance(other, NeuronMasks):
            return NotImplemented
        if list(self) != list(other) or self.widths != other.widths:
            return False
        return all(torch.equal(mask, other[name][site]) for name in self for site, mask in self[name].items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"NeuronMasks({len(self)} directions, {len(self.sites)} sites, sparsity {self.sparsity():.3f})"

    def _repr_html_(self) -> str:
        """For notebooks: the sparsity by direction and side."""
        sides = list(dict.fromkeys(map(side_of, self.sites)))
        rows: list[list[str]] = []
        for name, sites in self.items():
            parts = ([mask for site, mask in sites.items() if side_of(site) == side] for side in sides)
            rows.append([name, *(f"{_sparsity(part):.1%}" for part in parts)])
        return Table(repr(self), ["direction", *(f"sparsity, {side}" for side in sides)], rows)._repr_html_()

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, bit-packed; see `packing` for the format. `path` is complete or as it was before.

        Raises:
            MaskError: the file can't be written.
        """
        write_masks(path, self._items, self.widths, self.info)

    @classmethod
    def load(cls, path: str | Path) -> NeuronMasks:
        """Read a file that `save` wrote.

        Raises:
            MaskError: there is no such file, it is damaged, something else, or of a newer version.
        """
        return cls(*read_masks(path))

    def _composed(self, direction: Direction, encoder: Direction, decoder: Direction) -> DerivedMask:
        masks = {}
        for site in self.sites:
            side = side_of(site)
            if side == "layers":
                raise MaskError(f"masks for {direction} can't be composed: a decoder-only model has no encoder")
            masks[site] = self[encoder if side == "encoder" else decoder][site]
        return DerivedMask(direction, masks, encoder, decoder)

    def _combined(
        self, other: NeuronMasks, sign: str, combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> NeuronMasks:
        if not isinstance(other, NeuronMasks):
            return NotImplemented
        if list(self) != list(other):
            lonely = sorted(set(self) ^ set(other))
            raise DirectionError(f"masks {sign} masks: only one of them has the directions {', '.join(lonely)}")
        if self.widths != other.widths:
            raise MaskError(f"masks {sign} masks: {_difference(self.widths, other.widths, 'left', 'right')}")
        combined = {
            name: {site: combine(mask, other[name][site]) for site, mask in self[name].items()} for name in self
        }
        theirs = other.info.composed
        both = {name: origin for name, origin in self.info.composed.items() if theirs.get(name) == origin}
        info = self._derived_info(f"({self.info.criterion} {sign} {other.info.criterion})", both)
        if self.info.fingerprint != other.info.fingerprint:
            info = info.model_copy(update={"fingerprint": None})
        return NeuronMasks(combined, info)

    def _derived_info(self, criterion: str, composed: dict[str, tuple[str, str]]) -> MaskInfo:
        return MaskInfo(criterion=criterion, fingerprint=self.info.fingerprint, composed=composed)


def _check_masks(direction: str, sites: DirectionMask) -> None:
    for site, mask in sites.items():
        side_of(site)
        if not isinstance(mask, torch.Tensor) or mask.dtype != torch.bool or mask.dim() != 1 or len(mask) == 0:
            seen = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, torch.Tensor) else type(mask).__name__
            raise MaskError(f"mask of {direction} at {site} is {seen}: expected a BoolTensor [width]")


def _shared(items: Mapping[str, DirectionMask], order: list[str]) -> dict[str, DirectionMask]:
    """The same masks on the CPU, with equal ones of a site as one tensor."""
    known: dict[tuple[str, bytes], torch.Tensor] = {}
    shared: dict[str, DirectionMask] = {}
    for direction, sites in items.items():
        masks = {site: sites[site].detach().cpu().contiguous() for site in order}
        shared[direction] = {site: known.setdefault((site, pack(mask).tobytes()), mask) for site, mask in masks.items()}
    return shared


def _sparsity(masks: list[torch.Tensor]) -> float:
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(len(mask) for mask in masks)


def _difference(mine: Mapping[str, int], theirs: Mapping[str, int], here: str, there: str) -> str:
    """How two sets of sites differ, in words."""
    parts = []
    for one, other, where in ((mine, theirs, here), (theirs, mine, there)):
        lonely = [site for site in one if site not in other]
        if lonely:
            parts.append(f"only {where}: {', '.join(lonely)}")
    parts += [
        f"{site} has {mine[site]} neurons {here}, {theirs[site]} {there}"
        for site in mine
        if site in theirs and mine[site] != theirs[site]
    ]
    return "; ".join(parts)
