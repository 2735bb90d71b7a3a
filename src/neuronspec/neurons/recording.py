"""Recording which neurons fire in which direction."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import distributed, nn

from neuronspec.batching.in_order import eval_batches
from neuronspec.core.direction import Direction, parse_task
from neuronspec.core.errors import MaskError
from neuronspec.core.progress import SILENT, Progress
from neuronspec.models.batch import Batch, MixedBatch
from neuronspec.models.dispatch import device_of, weights_present
from neuronspec.models.fingerprint import model_fingerprint
from neuronspec.models.precision import products_of, without_gradients_in
from neuronspec.models.sites import FFNSite, find_ffn_sites, unwrap
from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.positions import check_positions, counted_positions, side_of, source_positions
from neuronspec.neurons.recorder import Recorder
from neuronspec.neurons.settings import Positions, RecordingSettings

if TYPE_CHECKING:
    from neuronspec.corpus.store import TokenStore


def record_activations(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    positions: Positions = "both",
    count_padding: bool = False,
    sites: Sequence[FFNSite] | None = None,
    shared: bool = True,
    precision: Literal["auto", "bf16", "float32"] | None = None,
    progress: Progress = SILENT,
) -> Activations:
    """Run `model` over `batches` under teacher forcing and count which neurons fire in which direction.

    The batches may come in any order; all directions are recorded in one pass. The model runs in eval mode,
    without gradients, and is left as it was found. Where
    `torch.distributed` is initialised, every process passes its own share of the batches and all get the sum, unless
    `shared` is False.

    Args:
        model: a Hugging Face encoder-decoder or decoder-only model, or a wrapper of one.
        batches: padded batches of one direction; see `Batch` for their inputs. Without `decoder_input_ids` the
            model makes them from `labels`.
        positions: decoder-only models: count all positions, those of the prompt (where `labels`, aligned with
            `input_ids`, is -100), or those of the continuation.
        count_padding: count padding as if it were text, as the paper's scripts do.
        sites: the FFN sites to record; all of the model's by default.
        shared: whether the joined processes record together; without it, this one records alone.
        precision: what products are computed in, as `recording.precision` of a recipe; without it the caller's
            (autocast applies). `info.precision` of the result tells what it was.
        progress: shows how many batches are done, such as `ns.Bars()`.

    Raises:
        MaskError: no batches, a batch of several directions, inputs that don't show where padding is, or activations
            that aren't finite.
        ModelError: the model's FFN sites aren't known, or its weights are narrower than `precision`.

    Examples:
        >>> acts = ns.record_activations(model, batches)
        >>> acts.counts["en-de"]["decoder.0"].shape == (acts.widths["decoder.0"],)
        True
    """
    sites = list(sites) if sites is not None else find_ffn_sites(model)
    sides = list(dict.fromkeys(side_of(site.name) for site in sites))
    check_positions(positions, sides)
    recorder, forward = Recorder(sites), _Forward(model, decoder_only="layers" in sides)
    computing = nullcontext() if precision is None else without_gradients_in(precision, model)
    # A compiled graph could leave the hooks out.
    eager = torch.compiler.set_stance("force_eager")
    with torch.no_grad(), computing, eager, _in_eval_mode(model), recorder.attached():
        products = products_of(model)
        for batch in progress.track(batches, "recording"):
            _check_direction(batch)
            try:
                counted = counted_positions(batch.inputs, sides, forward.pad_id, positions, count_padding)
            except MaskError as error:
                raise MaskError(f"batch of {batch.direction}: {error}") from None
            recorder.start(batch.direction, {side: mask.to(forward.device) for side, mask in counted.items()})
            forward(batch)
    info = RecordingInfo(
        sites=tuple(map(_describe, sites)),
        fingerprint=model_fingerprint(model, sites),
        positions=positions,
        count_padding=count_padding,
        precision=products,
    )
    return _collect(recorder, info, shared and distributed.is_available() and distributed.is_initialized())


def recording_batches(
    store: TokenStore,
    directions: Sequence[Direction],
    settings: RecordingSettings,
    progress: Progress = SILENT,
) -> Iterator[Batch]:
    """The batches that neurons are recorded on, direction by direction.

    Args:
        store: the text.
        directions: to record.
        settings: the section `recording`.
        progress: shows how many directions are done.

    Yields:
        Batches of one direction each, of at most 4096 padded tokens.
    """
    for direction in progress.track(directions, "recording"):
        pairs = store.pairs(settings.split, direction)
        yield from eval_batches(pairs, direction, store.tokenizer, batch_tokens=4096, limit=settings.sentences)


def _check_direction(batch: Batch) -> None:
    """A batch is counted for one direction."""
    if isinstance(batch, MixedBatch) and len(set(batch.row_directions)) > 1:
        names = ", ".join(sorted({str(direction) for direction in batch.row_directions}))
        raise MaskError(
            f"a batch to record has rows of several directions ({names}): give each batch rows of one direction"
        )


class _Forward:
    """Runs a model on the inputs of a batch as recording needs it: no loss, no cache, next to no output layer."""

    def __init__(self, model: nn.Module, decoder_only: bool) -> None:
        # Without its DDP wrapper, which would wait for the other processes: they may have fewer batches.
        self._model: Any = unwrap(model)
        self._decoder_only = decoder_only
        self._parameters = inspect.signature(self._model.forward).parameters
        self.device = device_of(model)
        config = getattr(self._model, "config", None)
        self.pad_id: int | None = getattr(config, "pad_token_id", None)
        end = getattr(config, "eos_token_id", None)
        if decoder_only and self.pad_id in (end if isinstance(end, list) else [end]):
            self.pad_id = None  # padding looks like the end of a text

    def __call__(self, batch: Batch) -> None:
        inputs: dict[str, Any] = dict(batch.to(self.device).inputs)
        if "attention_mask" not in inputs and "input_ids" in inputs:
            inputs["attention_mask"] = source_positions(inputs, self.pad_id).long()
        if self._decoder_only or "decoder_input_ids" in inputs:
            inputs.pop("labels", None)
        elif "labels" in inputs and hasattr(self._model, "prepare_decoder_input_ids_from_labels"):
            labels = inputs.pop("labels")
            inputs["decoder_input_ids"] = self._model.prepare_decoder_input_ids_from_labels(labels=labels)
        if self._decoder_only and "position_ids" in self._parameters:
            # as in generate(): positions start after left padding
            inputs.setdefault("position_ids", (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0))
        if "use_cache" in self._parameters:
            inputs.setdefault("use_cache", False)
        with self._one_position_projected("labels" not in inputs):
            self._model(**inputs)

    @contextmanager
    def _one_position_projected(self, wanted: bool) -> Iterator[None]:
        """Project one position of each row to the vocabulary.

        Nobody reads the logits, and they are the largest tensor of a forward pass. A model that makes its decoder
        inputs from labels needs all of them.
        """
        head = self._model.get_output_embeddings() if hasattr(self._model, "get_output_embeddings") else None
        if head is None or not wanted:
            yield
            return
        handle = head.register_forward_pre_hook(lambda module, args: (args[0][..., :1, :], *args[1:]))
        try:
            yield
        finally:
            handle.remove()


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode during the block; afterwards every module has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _describe(site: FFNSite) -> SiteInfo:
    function = site.activation if isinstance(site.activation, nn.Module) else nn.Module()
    with torch.no_grad(), weights_present(function):
        own = next(function.parameters(), None)  # few activations have weights
        points = torch.linspace(-6, 6, 121, device="cpu" if own is None else own.device)
        keeps_sign = bool(((site.activation(points) > 0) == (points > 0)).all())
    name = getattr(site.activation, "__name__", type(site.activation).__name__)
    return SiteInfo(name=site.name, width=site.width, activation=name, gated=len(site.ups) > 1, keeps_sign=keeps_sign)


def _collect(recorder: Recorder, info: RecordingInfo, shared: bool) -> Activations:
    """The sums, over all processes if `shared`, brought to the CPU."""
    directions = _all_directions(recorder.directions, shared)
    if not directions:
        raise MaskError("no batches to record: the iterable of batches is empty")
    totals = recorder.totals(directions)
    if shared:
        for total in totals:
            distributed.all_reduce(total)
    counts, magnitudes, tokens = (total.cpu() for total in totals)
    names, widths = [site.name for site in info.sites], [site.width for site in info.sites]
    for part, direction in zip(magnitudes, directions, strict=True):
        for name, values in zip(names, part.split(widths), strict=True):
            if not values.isfinite().all():
                raise MaskError(
                    f"activations of {direction} at {name} aren't finite (NaN or infinity): "
                    "check the model, or record in bf16 or float32 instead of float16"
                )
    return Activations(
        info,
        _by_site(directions, names, counts.split(widths, dim=1)),
        _by_site(directions, names, magnitudes.split(widths, dim=1)),
        {
            direction: dict(zip(names, row, strict=True))
            for direction, row in zip(directions, tokens.tolist(), strict=True)
        },
    )


def _by_site(
    directions: Sequence[Direction], names: Sequence[str], columns: Sequence[torch.Tensor]
) -> dict[Any, dict[str, torch.Tensor]]:
    return {
        direction: {name: column[row].clone() for name, column in zip(names, columns, strict=True)}
        for row, direction in enumerate(directions)
    }


def _all_directions(own: Sequence[Direction], shared: bool) -> list[Direction]:
    """The sorted directions that any process has seen."""
    if not shared:
        return list(own)
    seen: list[list[str]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(seen, [str(direction) for direction in own])
    return sorted({parse_task(name) for names in seen for name in names})
