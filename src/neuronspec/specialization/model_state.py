"""What a specialized model knows: its masks, and the direction that it computes now."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias
from weakref import WeakValueDictionary

import torch
from torch import nn

from neuronspec.core.direction import DirectionLike, nearest_directions
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.linear import is_linear, weight_of
from neuronspec.models.sites import FFNSite, unwrap
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.specialization.selected import RowSelections, Selection

Components: TypeAlias = Literal["both", "encoder", "decoder"]
Method: TypeAlias = Literal["auto", "compact", "rows", "masked"]

# Directions whose vectors stay on the device; the others are made again when they are used (well below a millisecond).
_KEPT_DIRECTIONS = 16
_ATTRIBUTE = "_neuronspec"


class Place:
    """One site of a specialized model: what is true of it, and what it computes now.

    The layers of a site hold it, so that what `torch.compile` makes of one of them serves all layers alike: it reads
    no number of a site, and checks no object of its own.

    Args:
        site: the layers.
        constants: whether unselected neurons may give a constant other than 0.
        plain: whether all its layers are plain linear ones, which can be computed on selected neurons alone.

    Attributes:
        selection: the neurons that are computed now; None outside of any direction.
        compact: whether a forward pass with gradients computes them alone; None before that is decided.
    """

    def __init__(self, site: FFNSite, constants: bool, plain: bool) -> None:
        self.site, self.constants, self.plain = site, constants, plain
        self.selection: Selection | RowSelections | None = None
        self.compact: bool | None = None

    def __getstate__(self) -> dict[str, Any]:
        """For copies: outside of any direction."""
        return vars(self) | {"selection": None, "compact": None}


class Active:
    """The direction (or one direction per row) that a model computes in a scope.

    Attributes:
        label: its name, for messages.
        selections: by site.
        compact: by site, whether a forward pass with gradients computes the selected neurons alone, as `method="auto"`
            decides at the first one of the scope; see `forward.decide`.
        weights: gathered weights by layer, kept within a scope without gradients; see `forward`.
    """

    def __init__(self, label: str, selections: Sequence[Selection | RowSelections], keeps_weights: bool) -> None:
        self.label = label
        self.selections = list(selections)
        self.compact: list[bool | None] = [None] * len(self.selections)
        self.weights: dict[nn.Module, Any] | None = {} if keeps_weights else None


class Specialization:
    """The masks on one model; the specialized layers look here for the direction to compute.

    Not part of the state dict. A copy of the model has a copy of this, outside of any direction.

    Attributes:
        sites: the specialized sites.
        places: what their layers know, by site.
        installed: whether the layers compute by it; a copy that was pickled is installed at its first scope.
        masks: as given, by direction and site.
        semantics: the name of what masks do.
        rule: that semantics.
        active: the direction of the innermost `use_direction` that is open, None outside of any.
        resumed: whether a layer is being computed by a function that `keeping_direction` made.
        entered: whether any scope has been open.
        warned: whether the user was told that `generate` outside of any direction is dense.
    """

    def __init__(
        self, sites: Sequence[FFNSite], masks: NeuronMasks, semantics: str, components: Components, method: Method
    ) -> None:
        self.masks = masks
        self.semantics = semantics
        self.rule = SEMANTICS.get(semantics)()
        self.components = components
        self.method = method
        self.active: Active | None = None
        self.installed = False
        self.resumed = False
        self.entered = False
        self.warned = False
        self._reset()
        self.place(sites)

    def place(self, sites: Sequence[FFNSite]) -> None:
        """Say in which layers the sites are."""
        self.sites = list(sites)
        self.places = [
            Place(site, self.rule.has_constants(site), all(map(is_linear, (*site.ups, site.down))))
            for site in self.sites
        ]
        layers = {layer for site in self.sites for layer in (*site.ups, site.down)}
        self._homes = [
            (parent, name, layer)
            for site in self.sites
            for parent in site.block.modules()
            for name, layer in parent._modules.items()
            if layer in layers
        ]

    @property
    def moved(self) -> bool:
        """Whether PEFT has put other layers in the places of the sites', or back, as LoRA around them or merged."""
        return any(not _passes_on(parent._modules.get(name), layer) for parent, name, layer in self._homes)

    def _reset(self) -> None:
        self._owner: int | None = None
        self._lock = threading.RLock()
        self._prepared: OrderedDict[str, list[Selection]] = OrderedDict()
        self._shared: WeakValueDictionary[tuple[int, torch.device], Selection] = WeakValueDictionary()

    def __getstate__(self) -> dict[str, Any]:
        """For copies: without what belongs to this model's open scopes."""
        own = {name: value for name, value in vars(self).items() if name not in ("_lock", "_prepared", "_shared")}
        return own | {"active": None, "resumed": False, "installed": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    @contextmanager
    def scope(self, directions: Sequence[DirectionLike], keeps_weights: bool) -> Iterator[None]:
        """Compute one direction, or one direction per row, until the block ends; then the one before again.

        Raises:
            DirectionError: a direction without masks, or another thread has a scope open.
        """
        active = self._prepare([self._name_of(direction) for direction in directions], keeps_weights)
        outer, owner = self.active, self._owner
        if owner not in (None, threading.get_ident()):
            raise DirectionError(
                f"the model is being used for {outer.label if outer else 'a direction'} by another thread: "
                "take turns with a lock, or give each thread a copy or a compact model"
            )
        self._activate(active)
        self._owner, self.entered = threading.get_ident(), True
        try:
            yield
        finally:
            found = self.active
            self._activate(outer if found is active else None)
            self._owner = owner if found is active else None
            if found is not active:
                raise DirectionError(f"the scope of {active.label} ended inside of another one: nest them properly")

    def _activate(self, active: Active | None) -> None:
        self.active = active
        for index, place in enumerate(self.places):
            place.selection = active.selections[index] if active else None
            place.compact = active.compact[index] if active else None

    def decide(self, compact: Sequence[bool | None]) -> None:
        """Say, by site, whether forward passes with gradients of this scope compute the selected neurons alone."""
        assert self.active is not None
        self.active.compact = list(compact)
        self._activate(self.active)

    def bound(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, to be called at any time in any thread with the direction that is active now."""
        active = self.active

        def resuming(*args: Any, **kwargs: Any) -> Any:
            with self._lock:  # devices run their backward passes in threads of their own
                before = self.active, self.resumed
                self._activate(active)
                self.resumed = True
                try:
                    return function(*args, **kwargs)
                finally:
                    self._activate(before[0])
                    self.resumed = before[1]

        return resuming

    def selections_of(self, direction: DirectionLike) -> list[Selection]:
        """By site, the neurons of one direction on the device of the site.

        Raises:
            DirectionError: it has no masks.
        """
        name = self._name_of(direction)
        devices = [weight_of(site.down).device for site in self.sites]
        prepared = self._prepared.get(name)
        if prepared is None or any(s.mask.device != d for s, d in zip(prepared, devices, strict=True)):
            masks = self.masks[name]
            pairs = zip(self.sites, devices, strict=True)
            prepared = [self._selection(masks[site.name], device) for site, device in pairs]
            self._prepared[name] = prepared
            while len(self._prepared) > _KEPT_DIRECTIONS:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(name)
        return prepared

    def _selection(self, mask: torch.Tensor, device: torch.device) -> Selection:
        key = (id(mask), device)  # equal masks of a site are one tensor, which the selection keeps alive
        selection = self._shared.get(key)
        if selection is None:
            selection = self._shared[key] = Selection(mask, device)
        return selection

    def _prepare(self, names: list[str], keeps_weights: bool) -> Active:
        if not names:
            raise DirectionError("no directions: name one for each row of the batch")
        if len(set(names)) == 1:
            return Active(names[0], self.selections_of(names[0]), keeps_weights)
        if self.method in ("compact", "masked"):
            raise DirectionError(
                f"method={self.method!r} computes one direction at a time, given are {', '.join(sorted(set(names)))}; "
                "specialize with method='auto' or 'rows' for batches that mix directions"
            )
        by_row = [self.selections_of(name) for name in names]
        label = ", ".join(sorted(set(names)))
        return Active(label, [RowSelections(site, label) for site in zip(*by_row, strict=True)], False)

    def _name_of(self, direction: DirectionLike) -> str:
        named = self.masks.named(direction)
        if named not in self.masks:
            raise DirectionError(
                f"no masks for direction {named} on this model; {nearest_directions(named, self.masks)}"
            )
        return str(named)


def specialization_of(model: nn.Module) -> Specialization:
    """The specialization of a model, which may be wrapped; see `unwrap`.

    Raises:
        ModelError: the model isn't specialized.
    """
    state = attached(model)
    if state is None:
        raise ModelError(f"{type(unwrap(model)).__name__} isn't specialized: call specialize(model, masks) first")
    return state


def attached(model: nn.Module) -> Specialization | None:
    """The specialization of a model, or None."""
    return vars(unwrap(model)).get(_ATTRIBUTE)


def attach(model: nn.Module, state: Specialization | None) -> None:
    """Give the model a specialization, or take it away."""
    if state is None:
        vars(unwrap(model)).pop(_ATTRIBUTE)
    else:
        vars(unwrap(model))[_ATTRIBUTE] = state


def _passes_on(present: nn.Module | None, layer: nn.Module) -> bool:
    """Whether what is in the place of a layer is that layer, or calls it as it is, as wrappers of FSDP do."""
    if present is layer:
        return True
    adapts = type(present).__module__.startswith("peft.")
    return present is not None and not adapts and any(each is layer for each in present.modules())
