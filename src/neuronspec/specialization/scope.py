"""Saying which direction a specialized model computes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import DirectionError
from neuronspec.models.sites import unwrap, unwrapped
from neuronspec.specialization.checkpointing import keep_directions
from neuronspec.specialization.forward import decide, follow
from neuronspec.specialization.methods import bind_adapters
from neuronspec.specialization.model_state import Specialization, attached, specialization_of

_ROWS = ("input_ids", "inputs_embeds", "decoder_input_ids", "decoder_inputs_embeds")


@contextmanager
def use_direction(model: nn.Module, direction: DirectionLike) -> Iterator[None]:
    """Compute with one direction's neurons inside of the block: forward, backward, `generate`.

    Blocks nest; the inner one counts, and after it the outer one again. Outside of any block the model is the dense
    shared one. Only one thread at a time may have a block open on a model.

    Args:
        model: a specialized model, or its wrapper: `DistributedDataParallel`, `torch.compile`, `PeftModel`.
        direction: a direction that the model has masks for; a zero-shot one gets masks by `NeuronMasks.compose`.

    Raises:
        ModelError: the model isn't specialized.
        DirectionError: no masks for the direction (the message lists those there are), or another thread is inside.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> with ns.use_direction(model, "en-de"):
        ...     ids = model.generate(batches[0].inputs["input_ids"], max_new_tokens=5)
    """
    with _scope(model, [direction]):
        yield


@contextmanager
def use_directions(model: nn.Module, directions: Sequence[DirectionLike]) -> Iterator[None]:
    """Compute with one direction's neurons for each row of the batch: `directions[i]` is row i's.

    Where beam search or sampling makes several rows of one, they share its direction.

    Args:
        model: as for `use_direction`.
        directions: one per row, `len(directions) == batch`.

    Raises:
        ModelError, DirectionError: as for `use_direction`; a forward with another number of rows, too.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> inputs = {name: tensor[:2] for name, tensor in batches[0].inputs.items()}
        >>> with ns.use_directions(model, ["en-de", "de-en"]):
        ...     logits = model(**inputs).logits
    """
    rows, inner = len(directions), unwrap(model)

    def check(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not torch.compiler.is_compiling() and module is not inner:  # but a copy, which was made in the scope
            return
        tensors = [*args[:1], *(kwargs.get(name) for name in _ROWS)]
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor) and tensor.shape[0] % rows:
                raise DirectionError(
                    f"a batch of {tensor.shape[0]} rows with {rows} directions: name one direction for each row"
                )

    with _scope(model, directions):
        handle = inner.register_forward_pre_hook(check, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


def serve(model: nn.Module, direction: Direction, pivot: str | None = None) -> None:
    """See that a specialized model has masks for `direction`; for one without its own they are composed.

    Raises:
        DirectionError: they can't be composed, or the pivot must be named.
    """
    state = attached(model)
    if state is not None and direction not in state.masks:
        derived = state.masks.for_direction(direction, pivot)
        state.masks = state.masks.compose(direction, encoder=derived.encoder, decoder=derived.decoder)


def composed_from(model: nn.Module, direction: Direction) -> tuple[str, str] | None:
    """The directions whose masks serve `direction`, if they were composed."""
    state = attached(model)
    return state.masks.info.composed.get(str(direction)) if state is not None else None


@contextmanager
def _scope(model: nn.Module, directions: Sequence[DirectionLike]) -> Iterator[None]:
    state = specialization_of(model)
    inner = unwrap(model)
    follow(inner, state)
    bind_adapters(model)
    if torch.is_grad_enabled():
        keep_directions(inner, state)
    with state.scope(directions, keeps_weights=not _is_sharded(inner)), _dynamic_widths(), _deciding(model, state):
        yield


@contextmanager
def _deciding(model: nn.Module, state: Specialization) -> Iterator[None]:
    """Let the first forward pass with gradients decide how `method="auto"` computes all of them in the scope."""

    def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling() and module in modules:
            decide(state, _tokens(args, kwargs))

    handles = []
    modules: dict[nn.Module, None] = {}
    if state.method == "auto" and state.rule.compacts:
        inner = unwrap(model)
        modules = dict.fromkeys([*unwrapped(model), getattr(inner, "base_model", inner)])
        handles = [module.register_forward_pre_hook(look, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tokens(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, int]:
    """The tokens of a batch by component, padding among them; without those that the inputs don't tell of."""

    def first(*found: Any) -> int | None:
        shapes = (tensor.shape for tensor in found if isinstance(tensor, torch.Tensor) and tensor.dim() > 1)
        return next((shape[0] * shape[1] for shape in shapes), None)

    source = first(*args[:1], kwargs.get("input_ids"), kwargs.get("inputs_embeds"))
    target = first(*(kwargs.get(name) for name in ("decoder_input_ids", "decoder_inputs_embeds", "labels")))
    found = {"encoder": source, "decoder": source if target is None else target}
    return {component: tokens for component, tokens in found.items() if tokens is not None}


def _dynamic_widths() -> AbstractContextManager[Any]:
    """For `torch.compile`: what is compiled in a scope serves all directions, whatever their widths.

    By default tensors that layers hold have static shapes, and each direction would be compiled anew, the ninth not
    at all. Importing dynamo takes a second; where nobody has, nothing is compiled.
    """
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    return torch._dynamo.config.patch(force_nn_module_property_static_shapes=False)


def _is_sharded(model: nn.Module) -> bool:
    """Whether FSDP2 swaps the parameters under the layers, so that gathered weights can't be kept."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FSDPModule

    return any(isinstance(module, FSDPModule) for module in model.modules())
