"""The training loop, of the baseline and of every arm: update, validate, save, until the budget is used up."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.batch import Batch
from neuronspec.batching.collate import Layout
from neuronspec.batching.randomness import torch_seed
from neuronspec.batching.sampler import Store, TrainingBatch, TrainingBatches
from neuronspec.direction import Direction
from neuronspec.errors import TrainingError
from neuronspec.recipe import TrainingSettings
from neuronspec.training import checkpoint
from neuronspec.training.export import export_model
from neuronspec.training.interrupt import Interrupted, StopSignals
from neuronspec.training.log import TrainingLog
from neuronspec.training.loss import InDirection, batch_loss, target_tokens, validation_loss
from neuronspec.training.optimizer import Adam
from neuronspec.training.precision import autocast, resolve_precision
from neuronspec.training.progress import TrainingProgress
from neuronspec.training.resume import check_unchanged, what_matters
from neuronspec.training.state import Budget, Interval, State, TrainingResult

LOG_EVERY = 10
"""Updates between lines of the log."""

KEEP = 2
"""Last checkpoints that are kept, beside the best."""

MOST_SKIPPED = 10
"""Updates in a row without a finite gradient after which training stops."""


class Trainer:
    """One training: what it works on, and where it stands."""

    log: TrainingLog
    stop: StopSignals
    progress: TrainingProgress

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
    ) -> None:
        self.model, self.settings, self.seed, self.folder = model, settings, seed, folder
        self.in_direction, self.validation = in_direction, validation
        self.root = folder / "checkpoints"
        self.precision = resolve_precision(settings.precision, model.device)
        self.batches = TrainingBatches(
            store,
            directions,
            layout,
            batch_tokens=settings.batch_tokens,
            temperature=settings.temperature,
            seed=seed,
        )
        self.budget = Budget.of(settings, self.batches)
        self.matters = what_matters(settings, model, self.batches, seed, self.precision)
        self.adam = Adam(model, settings)
        self.state = State()
        self.saved = 0
        self.interval = Interval()

    def resume(self, console: Console) -> None:
        """Go on from the newest checkpoint that is whole, if there is any. Damaged ones are named and set aside."""
        checkpoint.tidy(self.root)
        damaged: list[int] = []
        for update in reversed(checkpoint.updates_saved(self.root)):
            try:
                self._restore(update)
            except checkpoint.DamagedCheckpoint as error:
                console.print(f"[yellow]warning:[/] {escape(str(error))}; trying the checkpoint before it")
                damaged.append(update)
                continue
            for bad in damaged:
                console.print(f"the damaged checkpoint is now {checkpoint.set_aside(self.root, bad)}", markup=False)
            console.print(f"{self.folder.name}: going on after update {update}", markup=False)
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
        self.adam.restore(moments)
        self.state = State.from_json(record["state"])
        self.batches.restore(self.state.batches)
        self.saved = update

    def run(self, log: TrainingLog, stop: StopSignals, progress: TrainingProgress) -> None:
        """Train until the budget is used up, validating and saving on the way."""
        self.log, self.stop, self.progress = log, stop, progress
        self.begun = time.monotonic() - self.state.seconds
        self._log_start()
        self.model.train()
        while True:
            update, done = self.state.update, self.budget.used(self.state) >= 1
            due = update > self.state.validated and (done or update % self.settings.validate_every == 0)
            is_best = due and self._validate()
            must_save = done or self.stop.requested or update % self.settings.save_every == 0
            if is_best or (must_save and update > self.saved):
                self._save()
            if self.stop.requested:
                raise Interrupted(
                    f"stopped by {self.stop.requested} after update {update}; everything is saved in {self.folder}: "
                    "the same command goes on from there"
                )
            if done:
                break
            self._update()
        self._log_end()

    def _update(self) -> None:
        """One step of the optimizer, on the settings' number of micro-batches."""
        begun, state = time.monotonic(), self.state
        micro_batches = [next(self.batches) for _ in range(self.settings.accumulation)]
        targets = sum(target_tokens(one.batch) for one in micro_batches)
        # A pure function of the update, so that dropout after resuming is what it would have been.
        torch.manual_seed(torch_seed(self.seed, "dropout", state.update + 1))
        smoothed, nats = self._gradient(micro_batches, targets)
        norm = self.adam.clip()
        state.update += 1
        if math.isfinite(smoothed) and math.isfinite(norm):
            rate = self.adam.step(state.update)
            state.skipped_in_row = 0
            state.target_tokens += targets
            self.interval.add(micro_batches, targets, smoothed, nats, norm, time.monotonic() - begun)
        else:
            rate = 0.0
            self._skip(micro_batches)
        self._tick()
        self._report(rate)

    def _gradient(self, micro_batches: Sequence[TrainingBatch], targets: int) -> tuple[float, float]:
        """Leave the gradient of the mean loss over all target tokens of the update in the parameters.

        Returns the summed loss, with label smoothing and without.
        """
        smoothed = nats = torch.zeros((), device=self.model.device)
        for one in micro_batches:
            batch = one.batch.to(self.model.device)
            with self.in_direction(batch.direction):
                with autocast(self.model.device, self.precision):
                    loss = batch_loss(self.model, batch, self.settings.label_smoothing)
                (loss.smoothed / targets).backward()
            smoothed, nats = smoothed + loss.smoothed.detach(), nats + loss.nats
        return float(smoothed), float(nats)

    def _skip(self, micro_batches: Sequence[TrainingBatch]) -> None:
        """Drop an update without a finite gradient; give up after many in a row."""
        self.adam.clear()
        self.state.skipped += 1
        self.state.skipped_in_row += 1
        names = ", ".join(f"{one.batch.direction} (epoch {one.epoch}, batch {one.number})" for one in micro_batches)
        self.progress.line(f"update {self.state.update} skipped: the loss or gradient of {names} isn't finite")
        if self.state.skipped_in_row >= MOST_SKIPPED:
            kept = f"the last good checkpoint is that of update {self.saved}; " if self.saved else ""
            raise TrainingError(
                f"{MOST_SKIPPED} updates in a row had no finite loss and gradient; the last was number "
                f"{self.state.update}, in {names}; {kept}lower learning_rate, or set precision: float32"
            )

    def _validate(self) -> bool:
        """Measure the validation loss; True if it is the lowest so far. A signal breaks it off, to be done again."""
        try:
            losses = validation_loss(
                self.model, self._until_stopped(self.validation), self.in_direction, precision=self.precision
            )
        except _Stopped:
            return False
        state = self.state
        by_direction = {str(direction): loss.per_token for direction, loss in losses.items()}
        mean = sum(by_direction.values()) / len(by_direction)
        is_best = mean < state.best_loss
        if is_best:
            state.best_update, state.best_loss, state.best_losses = state.update, mean, by_direction
        state.validated = state.update
        self._tick()
        self.log.write("validation", state.update, state.seconds, loss=mean, losses=by_direction, best=is_best)
        self.progress.line(f"update {state.update}: validation loss {mean:.4f}{' (best)' if is_best else ''}")
        return is_best

    def _until_stopped(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self.stop.requested:
                raise _Stopped
            yield batch

    def _save(self) -> None:
        self._tick()
        self.state.batches = self.batches.state()
        record = {"state": self.state.to_json(), "matters": self.matters}
        checkpoint.save_checkpoint(self.root, self.state.update, self.model, self.adam.tensors(), record)
        self.saved = self.state.update
        last = checkpoint.updates_saved(self.root)[-KEEP:]
        best = [checkpoint.read_record(self.root, update)["state"]["best_update"] for update in last]
        checkpoint.remove_all_but(self.root, {*last, *best})

    def finish(self, tokenizer: PreTrainedTokenizerBase) -> TrainingResult:
        """Give the model its best weights and export them."""
        best = self.state.best_update
        if best is None:
            raise TrainingError(f"the validation loss in {self.folder} was never finite; lower learning_rate")
        if best != self.state.update:
            folder = checkpoint.checkpoint_folder(self.root, best)
            checkpoint.restore_model(self.model, folder / checkpoint.MODEL)
        self.model.eval()
        export_model(self.model, tokenizer, self.folder)
        validation = {Direction.parse(name): loss for name, loss in self.state.best_losses.items()}
        state = self.state
        return TrainingResult(state.update, best, validation, state.target_tokens, state.seconds)

    def _tick(self) -> None:
        self.state.seconds = time.monotonic() - self.begun

    def _report(self, rate: float) -> None:
        """Show the update, and add a line to the log now and then."""
        state, facts = self.state, self.interval.facts()
        used = self.budget.used(state)
        self.progress.show(state.update, used, facts["loss"], facts["target_tokens_per_second"])
        if state.update % LOG_EVERY == 0 or used >= 1:
            self.log.write("training", state.update, state.seconds, **facts, learning_rate=rate, skipped=state.skipped)
            self.interval = Interval()

    def _log_start(self) -> None:
        state, batches = self.state, self.batches
        if state.update:
            self.log.write("resume", state.update, state.seconds)
            return
        upsampling = batches.upsampling()
        least, most = min(upsampling, key=upsampling.__getitem__), max(upsampling, key=upsampling.__getitem__)
        self.progress.line(
            f"{sum(batches.sizes.values()):,} pairs in {len(upsampling)} directions, sampled from "
            f"{upsampling[least]:.2f} ({least}) to {upsampling[most]:.2f} ({most}) times as often as by size; "
            f"{self.model.num_parameters():,} parameters, {self.precision} on {self.model.device.type}"
        )
        self.log.write(
            "start",
            0,
            0.0,
            device=str(self.model.device),
            precision=self.precision,
            parameters=self.model.num_parameters(),
            directions={
                str(one): {"pairs": size, "probability": batches.probabilities[one], "upsampling": upsampling[one]}
                for one, size in batches.sizes.items()
            },
        )

    def _log_end(self) -> None:
        state = self.state
        passes = {str(direction): round(count, 4) for direction, count in self.batches.passes().items()}
        self.log.write(
            "end",
            state.update,
            state.seconds,
            best_update=state.best_update,
            target_tokens=state.target_tokens,
            passes=passes,
        )


class _Stopped(Exception):
    """Validation was broken off by a signal."""
