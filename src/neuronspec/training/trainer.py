"""The training loop, of the baseline and of every arm: update, validate, save, until the budget is used up."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.collate import Layout
from neuronspec.batching.stream import Prefetched, Store, TrainingBatches, Update, Updates
from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import Processes
from neuronspec.core.progress import Task
from neuronspec.core.signals import Interrupted, StopSignals
from neuronspec.models.batch import Batch
from neuronspec.training import checkpoint
from neuronspec.training.gradient import GradientOf
from neuronspec.training.log import TrainingLog
from neuronspec.training.loss import InDirection
from neuronspec.training.model_folder import export_model
from neuronspec.training.optimizers import Optimizer
from neuronspec.training.parallel import Parallel
from neuronspec.training.precision import resolve_precision
from neuronspec.training.progress_state import Budget, Interval, State, TrainingResult
from neuronspec.training.resume import check_unchanged, what_matters
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import finish_step, prepare_step
from neuronspec.training.validation import Stopped, Validation

logger = logging.getLogger(__name__)

LOG_EVERY = 10
"""Updates between lines of the log."""

MOST_SKIPPED = 10
"""Updates in a row without a finite gradient after which training stops."""


class Trainer:
    """One training: what it works on, and where it stands. In several processes, each has one, in step."""

    log: TrainingLog
    stop: StopSignals
    task: Task
    updates: Iterator[Update]
    gradient: GradientOf

    def __init__(
        self,
        model: PreTrainedModel,
        store: Store,
        settings: TrainingSettings,
        directions: Sequence[Direction],
        seed: int,
        folder: Path,
        layout: Layout,
        in_direction: InDirection,
        validation: Sequence[Batch],
        processes: Processes,
    ) -> None:
        self.model, self.settings, self.seed, self.folder = model, settings, seed, folder
        self.in_direction, self.processes = in_direction, processes
        self.root = folder / "checkpoints"
        self.precision = resolve_precision(settings.precision, model.device)
        self.batches = TrainingBatches(
            store,
            directions,
            layout,
            batch_tokens=settings.batch_tokens,
            temperature=settings.temperature,
            seed=seed,
            weights=settings.weights,
            mixed=settings.mix_directions,
        )
        micro_batches = settings.accumulation * processes.size
        self.budget = Budget.of(settings, self.batches, micro_batches)
        self.matters = what_matters(settings, model, self.batches, seed, self.precision, micro_batches)
        prepare_step(model, settings)
        self.parallel = Parallel(model, settings.parallel, processes)
        self.validation = Validation(model, self.parallel, validation, in_direction, self.precision, processes)
        self.optimizer = Optimizer(model, settings, self.budget.updates)
        self.state = State()
        self.saved = 0
        self.agreed_to_stop = False
        self.interval = Interval()

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is any. Damaged ones are named and set aside."""
        if self.processes.is_main:
            checkpoint.tidy(self.root)
        self.processes.wait()
        damaged: list[int] = []
        for update in reversed(checkpoint.updates_saved(self.root)):
            try:
                self._restore(update)
            except checkpoint.DamagedCheckpoint as error:
                self._warn(f"{error}; trying the checkpoint before it")
                damaged.append(update)
                continue
            self.processes.wait()  # all have read what is there
            for bad in damaged if self.processes.is_main else []:
                self._say(f"the damaged checkpoint is now {checkpoint.set_aside(self.root, bad)}")
            self._say(f"resuming after update {update}")
            return
        if damaged:
            raise TrainingError(
                f"none of the checkpoints in {self.root} can be read; remove that folder to train from the beginning"
            )

    def _restore(self, update: int) -> None:
        record = checkpoint.read_record(self.root, update)
        check_unchanged(record["matters"], self.matters, self.folder)
        moments = checkpoint.read_tensors(checkpoint.checkpoint_folder(self.root, update) / checkpoint.OPTIMIZER)
        checkpoint.restore_model(self.model, checkpoint.checkpoint_folder(self.root, update) / checkpoint.MODEL)
        self.optimizer.restore(moments)
        self.state = State.from_json(record["state"])
        self.batches.restore(self.state.batches)
        self.saved = update

    def run(self, log: TrainingLog, stop: StopSignals, task: Task) -> None:
        """Train until the budget is used up, validating and saving on the way."""
        self.log, self.stop, self.task = log, stop, task
        self.gradient = GradientOf(
            self.parallel,
            self.settings,
            self.seed,
            self.model.device,
            self.precision,
            self.in_direction,
            self.optimizer.clear,
        )
        self.begun = time.monotonic() - self.state.seconds
        self._log_start()
        self.model.train()
        pin = self.model.device.type == "cuda"
        with Prefetched(Updates(self.batches, self.settings.accumulation, self.processes, pin)) as self.updates:
            self._run()
        self.batches.restore(self.state.batches)
        self._log_end()

    def _run(self) -> None:
        while True:
            update, done = self.state.update, self._is_done()
            due = update > self.state.validated and (done or update % self.settings.validate_every == 0)
            is_best = due and self._validate()
            done = done or self._is_done()
            must_save = done or self._stopping or update % self.settings.save_every == 0
            if is_best or (must_save and update > self.saved):
                self._save()
            if self._stopping:
                raise Interrupted(
                    f"stopped by {self.stop.requested or 'a signal'} after update {update}; everything is saved in "
                    f"{self.folder}: the same command resumes there"
                )
            if done:
                return
            self._update()

    def _is_done(self) -> bool:
        patience = self.settings.patience
        return self.budget.used(self.state) >= 1 or bool(patience and self.state.without_gain >= patience)

    def _update(self) -> None:
        """One step of the optimizer, on the settings' number of micro-batches."""
        begun, state = time.monotonic(), self.state
        update = next(self.updates)
        losses = self.gradient(update)
        norm = self.optimizer.clip()
        smoothed, nats = self._agree(*losses)
        state.update += 1
        state.batches = update.state
        if math.isfinite(smoothed) and math.isfinite(norm):
            rate = self.optimizer.step(state.update)
            state.skipped_in_row = 0
            state.target_tokens += update.target_tokens
            state.tokens += sum(one.tokens for one in update.micro_batches)
            state.padded += sum(one.padded for one in update.micro_batches)
            self.interval.add(update, smoothed, nats, norm, time.monotonic() - begun)
        else:
            rate = 0.0
            self._skip(update)
        self._report(rate)

    def _agree(self, smoothed: torch.Tensor, nats: torch.Tensor) -> tuple[float, float]:
        """The losses over all processes; with them they agree on whether to stop, and on the main one's clock."""
        if self.processes.size == 1:
            self._tick()
            return float(smoothed), float(nats)
        seconds = time.monotonic() - self.begun if self.processes.is_main else 0.0
        facts = torch.tensor([float(self.stop.requested is not None), seconds], dtype=torch.float64)
        own = torch.cat([torch.stack([smoothed, nats]).double(), facts.to(smoothed.device)])
        total = self.processes.sum(own).tolist()
        self.agreed_to_stop, self.state.seconds = total[2] > 0, total[3]
        return total[0], total[1]

    @property
    def _stopping(self) -> bool:
        """Whether a signal came; several processes know it after the update in which they agree on it."""
        return self.stop.requested is not None if self.processes.size == 1 else self.agreed_to_stop

    def _skip(self, update: Update) -> None:
        """Drop an update without a finite gradient; give up after many in a row."""
        self.optimizer.clear()
        self.state.skipped += 1
        self.state.skipped_in_row += 1
        names = ", ".join(one.name for one in update.micro_batches)
        self._warn(f"update {self.state.update} skipped: the loss or gradient of {names} isn't finite")
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
        state = self.state
        by_direction = {str(direction): loss for direction, loss in losses.items()}
        mean = sum(by_direction.values()) / len(by_direction)
        is_best = mean < state.best_loss
        if is_best:
            state.best_update, state.best_loss, state.best_losses = state.update, mean, by_direction
        state.without_gain = 0 if is_best else state.without_gain + 1
        state.validated = state.update
        self._tick()
        self.log.write("validation", state.update, state.seconds, loss=mean, losses=by_direction, best=is_best)
        self._say(f"update {state.update}: validation loss {mean:.4f}{' (best)' if is_best else ''}")
        return is_best

    def _save(self) -> None:
        self._tick()
        record = {"state": self.state.to_json(), "matters": self.matters}
        tensors = checkpoint.Tensors.of(self.model, self.optimizer.tensors(), self.processes.is_main)
        if self.processes.is_main:
            checkpoint.save_checkpoint(self.root, self.state.update, tensors, record)
            keep = max(self.settings.keep_checkpoints, self.settings.average_checkpoints or 0)
            last = checkpoint.updates_saved(self.root)[-keep:]
            best = [checkpoint.read_record(self.root, update)["state"]["best_update"] for update in last]
            checkpoint.remove_all_but(self.root, {*last, *best})
        self.saved = self.state.update
        self.processes.wait()

    def finish(self, tokenizer: PreTrainedTokenizerBase, dense: Mapping[str, str] | None = None) -> TrainingResult:
        """Give the model its best weights (or the mean of the last ones) and export them; `dense` as in `train`."""
        best, losses = self.state.best_update, self.state.best_losses
        if best is None:
            raise TrainingError(f"the validation loss in {self.folder} was never finite; lower learning_rate")
        if self.settings.average_checkpoints:
            losses = self._average(self.settings.average_checkpoints)
        elif best != self.state.update:
            folder = checkpoint.checkpoint_folder(self.root, best)
            checkpoint.restore_model(self.model, folder / checkpoint.MODEL)
        finish_step(self.model.eval())
        weights = None
        if self.parallel.sharded or dense is not None:
            weights = checkpoint.whole_tensors(checkpoint.model_tensors(self.model), self.processes.is_main)
        if weights and dense is not None:
            weights = {name: weights[own] for name, own in dense.items()}
        if self.processes.is_main:
            export_model(self.model, tokenizer, self.folder, weights)
        self.processes.wait()
        validation = {Direction.parse(name): loss for name, loss in losses.items()}
        state = self.state
        return TrainingResult(state.update, best, validation, state.target_tokens, state.seconds)

    def _average(self, count: int) -> dict[str, float]:
        """Give the model the mean of the last checkpoints; its validation loss by direction."""
        updates = checkpoint.updates_saved(self.root)[-count:]
        folders = [checkpoint.checkpoint_folder(self.root, update) for update in updates]
        checkpoint.average_checkpoints(self.model, folders)
        losses = {str(one): loss for one, loss in self.validation.losses().items()}
        mean = sum(losses.values()) / len(losses)
        named = ", ".join(map(str, updates))
        self._say(f"mean of the checkpoints of updates {named}: validation loss {mean:.4f}")
        self.log.write("average", self.state.update, self.state.seconds, updates=updates, loss=mean, losses=losses)
        return losses

    def _tick(self) -> None:
        if self.processes.size == 1:  # else the main one's clock counts, see _agree
            self.state.seconds = time.monotonic() - self.begun

    def _report(self, rate: float) -> None:
        """Show the update, and add a line to the log now and then."""
        state, facts = self.state, self.interval.facts()
        used = self.budget.used(state)
        speed = f"{facts['target_tokens_per_second']:,.0f} target tokens/s"
        self.task.show(used, f"update {state.update}  loss {facts['loss']:.3f}  {speed}")
        if state.update % LOG_EVERY == 0 or used >= 1:
            self.log.write("training", state.update, state.seconds, **facts, learning_rate=rate, skipped=state.skipped)
            self.interval = Interval()

    def _say(self, text: str) -> None:
        if self.processes.is_main:
            logger.info("%s: %s", self.folder.name, text)

    def _warn(self, text: str) -> None:
        if self.processes.is_main:
            logger.warning("%s: %s", self.folder.name, text)

    def _log_start(self) -> None:
        state, batches = self.state, self.batches
        if state.update:
            self.log.write("resume", state.update, state.seconds)
            return
        self._say(
            f"{batches.describe()}; {self.model.num_parameters():,} parameters, {self.precision} on "
            f"{self.model.device.type}"
            + (f", {self.processes.size} processes ({self.settings.parallel})" if self.processes.size > 1 else "")
        )
        self.log.write(
            "start",
            0,
            0.0,
            device=str(self.model.device),
            processes=self.processes.size,
            precision=self.precision,
            parameters=self.model.num_parameters(),
            directions=batches.facts(),
        )

    def _log_end(self) -> None:
        state = self.state
        padding = 1 - state.tokens / max(1, state.padded)
        passes = {str(direction): round(count, 4) for direction, count in self.batches.passes().items()}
        facts = {"best_update": state.best_update, "target_tokens": state.target_tokens, "padding": padding}
        self.log.write("end", state.update, state.seconds, **facts, passes=passes)
        self._say(
            f"{state.update} updates in {state.seconds:,.0f} s: {state.target_tokens:,} target tokens, "
            f"{padding:.1%} of the batches was padding; best at update {state.best_update}"
        )
