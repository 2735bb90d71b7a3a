"""The gradient of an update: its micro-batches one after the other, in halves where memory doesn't suffice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from neuronspec.batching.stream import Update
from neuronspec.core.errors import TrainingError
from neuronspec.core.randomness import torch_seed
from neuronspec.models.batch import Batch, MixedBatch
from neuronspec.models.precision import autocast
from neuronspec.training.loss import InDirection
from neuronspec.training.parallel import Parallel
from neuronspec.training.settings import TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Part:
    """A micro-batch, or a half (of a half) of one.

    Args:
        batch: its tensors.
        name: for messages.
        purpose: what its random numbers are for: the number of the draw, then which half.
    """

    batch: Batch
    name: str
    purpose: tuple[int, ...]

    def halves(self) -> tuple[_Part, _Part]:
        rows = len(self.batch.inputs["labels"])
        batches = self.batch.rows(0, rows // 2), self.batch.rows(rows // 2, None)
        one, other = (_Part(batch, self.name, (*self.purpose, side)) for side, batch in enumerate(batches))
        return one, other


class GradientOf:
    """Leaves the gradient of the mean loss over all target tokens of an update in the parameters.

    Where a micro-batch doesn't fit into the memory of the GPU, the update starts again with that one in halves: the
    same gradient, but for rounding and the random numbers of dropout.

    Args:
        parallel: computes the loss.
        settings: label smoothing, and what an error names.
        seed: of the training.
        device: of the model.
        precision: `bf16`, `fp16` or `float32`.
        in_direction: the context of a direction's computation.
        clear: discards the gradient.
    """

    def __init__(
        self,
        parallel: Parallel,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        precision: str,
        in_direction: InDirection,
        clear: Callable[[], None],
    ) -> None:
        self._parallel, self._settings, self._seed = parallel, settings, seed
        self._device, self._precision, self._in_direction = device, precision, in_direction
        self._clear = clear

    def __call__(self, update: Update, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss summed over target tokens, with label smoothing and without: of this process, on its device.

        Args:
            update: what it is made from.
            scale: that the gradient is multiplied by, and the loss isn't; so that small gradients are there in fp16.

        Raises:
            TrainingError: out of memory with a single sentence pair, or in one of several processes.
        """
        parts = [_Part(one.batch, one.name, (one.draw,)) for one in update.micro_batches]
        while True:
            smoothed = nats = torch.zeros((), device=self._device)
            for place, part in enumerate(parts):
                loss = self._backward(part, update.target_tokens, scale, place == len(parts) - 1)
                if loss is None:
                    break
                smoothed, nats = smoothed + loss[0], nats + loss[1]
            else:
                return smoothed, nats
            self._clear()
            torch.cuda.empty_cache()
            parts[place : place + 1] = self._split(parts[place])

    def _backward(
        self, part: _Part, targets: int, scale: float, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The losses of a part, whose gradient is added to the parameters'; None if memory didn't suffice."""
        # A pure function of the draw, so that dropout is the same after resuming, and in any number of processes.
        torch.manual_seed(torch_seed(self._seed, "dropout", *part.purpose))
        try:
            batch = part.batch.to(self._device)
            rows = batch.row_directions if isinstance(batch, MixedBatch) else batch.direction
            with self._in_direction(rows), self._parallel.accumulating(last):
                with autocast(self._device, self._precision):
                    loss = self._parallel.loss(batch, self._settings.label_smoothing)
                # Gradients are averaged over processes, and the loss is summed over all of them.
                (loss.smoothed * (self._parallel.size / targets * scale)).backward()
        except torch.OutOfMemoryError:
            return None  # what it holds is freed with the frames it came through
        return loss.smoothed.detach(), loss.nats

    def _split(self, part: _Part) -> tuple[_Part, _Part]:
        labels = part.batch.inputs["labels"]
        rows, longest = len(labels), max(labels.shape[1], part.batch.inputs["input_ids"].shape[1])
        where = f"out of memory with {part.name}: {rows} pairs of up to {longest} tokens"
        if self._parallel.size > 1:
            raise TrainingError(
                f"{where}; in several processes a batch can't be tried again in halves: lower batch_tokens (now "
                f"{self._settings.batch_tokens}) and raise accumulation, set gradient_checkpointing, or parallel: fsdp"
            )
        if rows < 2:
            raise TrainingError(
                f"{where}; it can't be halved any more: lower corpus.cleaning.max_tokens, set gradient_checkpointing "
                "or precision: bf16, or choose a smaller model"
            )
        logger.warning(
            "%s; tried again in halves. Lower batch_tokens (now %d) for speed", where, self._settings.batch_tokens
        )
        return part.halves()
