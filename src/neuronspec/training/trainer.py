"""The training loop, of the baseline and of every arm: update, validate, save, until the budget is used up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.stream import Prefetched, Store, TrainingBatches, Update, Updates
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, TrainingError
from neuronspec.core.processes import Processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import CHECKPOINTS
from neuronspec.core.signals import Interrupted, StopSignals
from neuronspec.models.precision import products_of, resolve_precision
from neuronspec.models.text_format import TextFormat
from neuronspec.training import checkpoint
from neuronspec.training.gradient import GradientOf
from neuronspec.training.loss import InDirection, any_direction
from neuronspec.training.model_folder import export_model
from neuronspec.training.optimization import Optimizer
from neuronspec.training.parallel import Parallel
from neuronspec.training.progress import Reporter
from neuronspec.training.progress_state import Budget, State, TrainingResult
from neuronspec.training.resume import check_unchanged, what_matters
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import finish_step, prepare_step
from neuronspec.training.tracking import Tracking
from neuronspec.training.trained import Part
from neuronspec.training.validation import Stopped, Validation, deciding_loss, validation_batches

MOST_SKIPPED = 10
"""Updates in a row without a finite gradient after which training stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a training works on.

    Args:
        model: what to start from, on the device to train on; holds the result afterwards.
        tokenizer: of the model.
        store: gives training and validation pairs.
        settings: how to train.
        directions: all directions to train on.
        seed: of data order and dropout.
        folder: for checkpoints, log and result.
        in_direction: the context of a direction's forward and backward pass.
        dense, parts, replayed: see `neuronspec.training.train.train`.
        processes: that train together, and which one this is.
        progress: shows how far the training is.
        tracking: where it is logged beside `log.jsonl`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    store: Store
    settings: TrainingSettings
    directions: Sequence[Direction]
    seed: int
    folder: Path
    in_direction: InDirection = any_direction
    dense: Mapping[str, str] | None = None
    parts: Mapping[str, Part] | None = None
    replayed: Sequence[Direction] = ()
    processes: Processes
    progress: Progress = SILENT
    tracking: Tracking | None = None


class Trainer:
    """One training: what it works on, and where it is. In several processes, each has one, in step.

    Args:
        job: what it works on; its model is prepared for training.

    Raises:
        TrainingError: there is no data, or the settings don't suit the machine or the model.
    """

    def __init__(self, job: Job) -> None:
        settings, model = job.settings, job.model
        self.job, self.model, self.settings, self.processes = job, model, settings, job.processes
        self.root = job.folder / CHECKPOINTS
        self.widened = prepare_step(model, settings)
        self.precision = resolve_precision(settings.precision, model)

        text_format = TextFormat.of(job.tokenizer, [*job.directions, *job.replayed])
        if settings.tag_loss:
            text_format = text_format.with_tag_loss()
        valid = validation_batches(job.store, job.directions, text_format, settings)
        self.batches = TrainingBatches(job.store, job.directions, text_format, settings, job.seed, job.replayed)
        micro_batches = settings.accumulation * job.processes.size
        self.budget = Budget.of(settings, self.batches, micro_batches)
        self.matters = what_matters(settings, model, self.batches, job.seed, self.precision, micro_batches)

        self.parallel = Parallel(model, settings.parallel, job.processes, self.precision)
        self.optimizer = Optimizer(model, settings, self.budget.updates, job.parts)
        self.gradient = GradientOf(
            self.parallel, settings, job.seed, model.device, self.precision, job.in_direction, self.optimizer.clear
        )
        self.validation = Validation(
            model, self.parallel, valid, job.in_direction, self.precision, job.processes, settings.label_smoothing
        )

        self.state = State()
        self.saved = self.planned = 0  # the updates of the newest checkpoint, and of the newest one without a signal
        self.begun = time.monotonic()
        self.stop = StopSignals()
        self.agreed_to_stop = False
        self.report = Reporter(job.folder, job.processes, job.progress, job.tracking)

    def run(self) -> TrainingResult:
        """Train until the budget is used up, from the newest checkpoint if there is one; export the best weights.

        Raises:
            TrainingError: no checkpoint can be read, they are of other settings, the disk is full, or too many
                updates had no finite gradient.
            Interrupted: SIGINT or SIGTERM came; everything is saved.
        """
        self._resume()
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self.report.open(self.state.update), self.stop:
            self.processes.wait()  # before anybody says that training begins, all heed signals
            self.begun = time.monotonic() - self.state.seconds
            self._report_start()
            self.model.train()
            with Prefetched(self._updates()) as updates:
                while True:
                    done = self._is_done()
                    is_best = self._is_validation_due(done) and self._validate()
                    done = done or self._is_done()
                    if is_best or self._is_saving_due(done):
                        self._save()
                    elif self._stopping and self.state.update > self.saved:
                        self._save(between=True)
                    self._leave_if_asked()
                    if done:
                        break
                    self._update(updates)
            self.batches.restore(self.state.batches)  # they were drawn ahead
            self.report.ended(self.state, self._passes())
            return self._finish()

    def _resume(self) -> None:
        """Continue after the newest checkpoint that is whole, if there is any. Damaged ones are named and set aside."""
        if self.processes.is_main:
            checkpoint.tidy(self.root)
        self.processes.wait()
        damaged: list[int] = []
        for update in reversed(checkpoint.updates_saved(self.root)):
            try:
                self._restore(update)
            except checkpoint.DamagedCheckpoint as error:
                self.report.warn(f"{error}; trying the checkpoint before it")
                damaged.append(update)
                continue
            damaged += checkpoint.unreadable(self.root, update)
            self.processes.wait()  # all have read what is there
            for bad in damaged if self.processes.is_main else []:
                self.report.say(f"the damaged checkpoint is now {checkpoint.set_aside(self.root, bad)}")
            self.report.say(f"resuming after update {update}")
            return
        if damaged:
            raise TrainingError(
                f"none of the checkpoints in {self.root} can be read; remove that folder to train from the beginning"
            )

    def _restore(self, update: int) -> None:
        record = checkpoint.read_record(self.root, update)
        check_unchanged(record["matters"], self.matters, self.job.folder)
        moments = checkpoint.read_optimizer(self.root, update)
        checkpoint.restore_model(self.model, self.root, update)
        self.optimizer.restore(moments)
        self.state = record["state"]
        try:
            self.batches.restore(self.state.batches)
        except (AttributeError, DirectionError, LookupError, TypeError, ValueError):
            raise checkpoint.DamagedCheckpoint(f"{self.root}/step-{update}: the place in the data is damaged") from None
        self.saved, self.planned = update, update - bool(record.get("between"))

    def _report_start(self) -> None:
        if self.state.update:
            self.report.resumed(self.state)
            return
        model, size, products = self.model, self.processes.size, products_of(self.model, self.precision)
        self.report.started(
            f"{self.batches.describe()}; {model.num_parameters():,} parameters, {products} on "
            f"{model.device.type}" + (f", {size} processes ({self.settings.parallel})" if size > 1 else ""),
            {
                "device": str(model.device),
                "processes": size,
                "precision": products,
                "parameters": model.num_parameters(),
                "directions": self.batches.facts(),
            },
        )

    def _updates(self) -> Updates:
        """What each update is made from, endlessly."""
        pin = self.model.device.type == "cuda"
        return Updates(self.batches, self.settings.accumulation, self.processes, pin)

    def _is_done(self) -> bool:
        patience = self.settings.patience
        return self.budget.used(self.state) >= 1 or bool(patience and self.state.without_gain >= patience)

    def _is_validation_due(self, done: bool) -> bool:
        update = self.state.update
        return update > self.state.validated and (done or update % self.settings.validate_every == 0)

    def _is_saving_due(self, done: bool) -> bool:
        update = self.state.update
        return update > self.planned and (done or update % self.settings.save_every == 0)

    @property
    def _stopping(self) -> bool:
        """Whether a signal came; several processes know it after the update in which they agree on it."""
        return self.stop.requested is not None if self.processes.size == 1 else self.agreed_to_stop

    def _leave_if_asked(self) -> None:
        if self._stopping:
            raise Interrupted(
                f"stopped by {self.stop.requested or 'a signal'} after update {self.state.update}; everything is "
                f"saved in {self.job.folder}: the same command resumes there"
            )

    def _update(self, updates: Iterator[Update]) -> None:
        """One step of the optimizer, on the settings' number of micro-batches."""
        begun, state = time.monotonic(), self.state
        update = next(updates)
        scale = state.scale if self.precision == "fp16" else 1.0
        losses = self.gradient(update, scale)
        smoothed, nats, norm = self._agree(*losses, self.optimizer.clip(scale))
        state.update += 1
        state.batches = update.state
        rate = 0.0
        finite = math.isfinite(smoothed) and math.isfinite(norm)
        rescaled = self.precision == "fp16" and state.rescale(finite)
        if finite:
            rate = self.optimizer.step(state.update)
            state.count(update)
            self.report.counted(update, smoothed, nats, norm, time.monotonic() - begun)
        else:
            self._skip(update, rescaled)
        self.report.updated(state, rate, self.budget.used(state))

    def _agree(self, *own: torch.Tensor) -> list[float]:
        """The two losses over all processes, and the norm; they agree on whether to stop, and on the main one's clock.

        Only here does the host wait for the device in an update.
        """
        *losses, norm = (one.double() for one in own)
        if self.processes.size == 1:
            self._tick()
            return torch.stack([*losses, norm]).tolist()
        seconds = time.monotonic() - self.begun if self.processes.is_main else 0.0
        facts = torch.tensor([float(self.stop.requested is not None), seconds], dtype=torch.float64)
        total = self.processes.sum(torch.cat([torch.stack(losses), facts.to(norm.device)]))
        *both, stops, self.state.seconds, norm_of_all = torch.cat([total, norm[None]]).tolist()
        self.agreed_to_stop = stops > 0
        return [*both, norm_of_all]

    def _tick(self) -> None:
        if self.processes.size == 1:  # else the main one's clock counts, see _agree
            self.state.seconds = time.monotonic() - self.begun

    def _skip(self, update: Update, rescaled: bool) -> None:
        """Drop an update without a finite gradient; give up after many in a row, which overflows of fp16 aren't."""
        self.optimizer.clear()
        self.state.skipped += 1
        if rescaled:
            return
        self.state.skipped_in_row += 1
        names = ", ".join(one.name for one in update.micro_batches)
        self.report.warn(f"update {self.state.update} skipped: the loss or gradient of {names} isn't finite")
        if self.state.skipped_in_row >= MOST_SKIPPED:
            kept = f"the last good checkpoint is that of update {self.saved}; " if self.saved else ""
            raise TrainingError(
                f"{MOST_SKIPPED} updates in a row had no finite loss and gradient; the last was number "
                f"{self.state.update}, in {names}; {kept}lower learning_rate, or set precision: float32"
            )

    def _validate(self) -> bool:
        """Measure the validation loss; True if it is the lowest so far. A signal breaks it off, to be done again."""
        try:
            losses = self.validation.losses(lambda: self._stopping)
        except Stopped:
            return False
        by_direction = {str(direction): loss.per_token for direction, loss in losses.items()}
        deciding = deciding_loss(losses.values(), self.settings.select_by)
        is_best = self.state.validate(deciding, by_direction)
        self._tick()
        self.report.validated(self.state, deciding, by_direction, is_best)
        return is_best

    def _save(self, between: bool = False) -> None:
        self._tick()
        record = {"state": self.state.to_json(), "matters": self.matters, "between": between}
        tensors = checkpoint.Tensors.of(self.model, self.optimizer.tensors(), self.processes.is_main)
        if self.processes.is_main:
            checkpoint.save_checkpoint(self.root, self.state.update, tensors, record)
            keep = max(self.settings.keep_checkpoints, self.settings.average_checkpoints or 0)
            checkpoint.keep_last(self.root, keep)
        self.saved, self.planned = self.state.update, self.planned if between else self.state.update
        self.processes.wait()

    def _passes(self) -> dict[str, float]:
        """Over the pairs of each direction."""
        return {str(direction): round(count, 4) for direction, count in self.batches.passes().items()}

    def _finish(self) -> TrainingResult:
        """Give the model its best weights (or the mean of the last ones) and export them."""
        state, best, losses = self.state, self.state.best_update, self.state.best_losses
        if best is None:
            raise TrainingError(f"the validation loss in {self.job.folder} was never finite; lower learning_rate")
        if self.settings.average_checkpoints:
            losses = self._average(self.settings.average_checkpoints)
        elif best != state.update:
            checkpoint.restore_model(self.model, self.root, best)
        finish_step(self.model.eval())
        self.widened.undo()
        self._export()
        validation = {Direction.parse(name): loss for name, loss in losses.items()}
        return TrainingResult(state.update, best, validation, state.target_tokens, state.seconds)

    def _average(self, count: int) -> dict[str, float]:
        """Give the model the mean of the last checkpoints; its validation loss by direction."""
        updates = checkpoint.last_updates(self.root, count)
        checkpoint.average_checkpoints(self.model, self.root, updates)
        found = self.validation.losses()
        losses = {str(one): loss.per_token for one, loss in found.items()}
        self.report.averaged(self.state, updates, deciding_loss(found.values(), self.settings.select_by), losses)
        return losses

    def _export(self) -> None:
        dense, weights = self.job.dense, None
        if self.parallel.sharded or dense is not None:
            weights = checkpoint.whole_tensors(checkpoint.model_tensors(self.model), self.processes.is_main)
        if weights and dense is not None:
            weights = {name: weights[own] for name, own in dense.items()}
        if self.processes.is_main:
            export_model(self.model, self.job.tokenizer, self.job.folder, weights)
        self.processes.wait()
