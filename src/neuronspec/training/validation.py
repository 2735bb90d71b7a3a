"""The loss on held-out text during training; each process computes its share of the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Literal

from transformers import PreTrainedModel

from neuronspec.batching.in_order import eval_batches
from neuronspec.batching.stream import Store
from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import Processes
from neuronspec.models.batch import Batch
from neuronspec.models.text_format import TextFormat
from neuronspec.training.loss import InDirection, Loss, validation_loss
from neuronspec.training.parallel import Parallel
from neuronspec.training.settings import TrainingSettings


class Stopped(Exception):
    """A validation was broken off by a signal."""


class Validation:
    """Measures the loss of validation batches.

    Args:
        model: that is trained.
        parallel: computes its loss.
        batches: of all directions, the same in every process.
        in_direction: the context of a direction's computation.
        precision: `bf16` or `float32`.
        processes: that share the work.
        label_smoothing: of the smoothed loss.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        parallel: Parallel,
        batches: Sequence[Batch],
        in_direction: InDirection,
        precision: str,
        processes: Processes,
        label_smoothing: float = 0.0,
    ) -> None:
        self._model, self._parallel, self._batches = model, parallel, batches
        self._in_direction, self._precision, self._processes = in_direction, precision, processes
        self._label_smoothing = label_smoothing

    def losses(self, must_stop: Callable[[], bool] = lambda: False) -> dict[Direction, Loss]:
        """The loss by direction, over the batches of all processes.

        Raises:
            Stopped: `must_stop` was true before some batch. Several processes, which couldn't agree on it in between,
                never ask.
        """
        own = self._processes.share(self._batches)
        found = self._measure(own if self._processes.size > 1 else _until(must_stop, own))
        if self._parallel.sharded:  # all must compute equally often: a process gathers parameters from the others
            most = -(-len(self._batches) // self._processes.size)
            self._measure(repeat(self._batches[0], most - len(own)))
            self._parallel.release()
        parts = self._processes.gather(found)
        directions = sorted({direction for part in parts for direction in part})
        return {one: _together([part[one] for part in parts if one in part]) for one in directions}

    def _measure(self, batches: Iterable[Batch]) -> dict[Direction, Loss]:
        return validation_loss(
            self._model,
            batches,
            self._in_direction,
            precision=self._precision,
            forward=lambda batch: self._parallel.loss(batch, self._label_smoothing),
        )


def deciding_loss(losses: Iterable[Loss], select_by: Literal["mean", "pooled"]) -> float:
    """The loss that tells which checkpoint is the best, in nats per target token.

    Args:
        losses: of all directions.
        select_by: `mean` over directions, without label smoothing; or `pooled` over all their tokens, with it, as
            fairseq does.
    """
    found = list(losses)
    if select_by == "pooled":
        together = _together(found)
        return together.smoothed / together.tokens
    return sum(loss.per_token for loss in found) / len(found)


def _together(losses: Sequence[Loss]) -> Loss:
    nats, tokens, smoothed = (sum(getattr(loss, part) for loss in losses) for part in ("nats", "tokens", "smoothed"))
    return Loss(nats, tokens, smoothed)


def _until(must_stop: Callable[[], bool], batches: Sequence[Batch]) -> Iterator[Batch]:
    for batch in batches:
        if must_stop():
            raise Stopped
        yield batch


def validation_batches(
    store: Store, directions: Sequence[Direction], text_format: TextFormat, settings: TrainingSettings
) -> list[Batch]:
    """The first validation sentences of each trained direction that has any, in batches.

    Args:
        store: gives the pairs of the split `valid`.
        directions: that are trained.
        text_format: how the model reads a pair.
        settings: `batch_tokens` and `validation_sentences`.

    Raises:
        TrainingError: no direction has validation sentences.
    """
    available = set(store.directions("valid"))
    batches = [
        batch
        for direction in sorted(available.intersection(directions))
        for batch in eval_batches(
            store.pairs("valid", direction),
            direction,
            text_format,
            batch_tokens=settings.batch_tokens,
            limit=settings.validation_sentences,
        )
    ]
    if not batches:
        raise TrainingError(
            "there are no validation sentences for any direction, so the best weights can't be told: "
            "name validation files in the recipe, or raise corpus.valid_share"
        )
    return batches
