"""What a training says: lines in `log.jsonl` and in trackers, messages, and how much of the budget is used."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuronspec.core.processes import Processes
from neuronspec.core.progress import SILENT, Progress, Task
from neuronspec.core.run_folder import TRAINING_LOG
from neuronspec.training.log import TrainingLog
from neuronspec.training.progress_state import Interval, State
from neuronspec.training.tracking import Trackers, Tracking

logger = logging.getLogger(__name__)

LOG_EVERY = 10
"""Updates between lines of `log.jsonl`."""


class Reporter:
    """Reports on one training, in the main process; the others are silent.

    Args:
        folder: that is trained in; its name is in front of every message.
        processes: which process this is.
        progress: shows the share of the budget that is used.
        tracking: where else the lines of `log.jsonl` go.
    """

    def __init__(self, folder: Path, processes: Processes, progress: Progress, tracking: Tracking | None) -> None:
        self._folder, self._is_main = folder, processes.is_main
        self._progress, self._tracking = (progress, tracking) if processes.is_main else (SILENT, None)
        # Nothing is written and shown before `open`.
        self._log, self._task = TrainingLog(None, 0), Task()
        self._interval = Interval()

    @contextmanager
    def open(self, update: int) -> Iterator[None]:
        """During the block, `log.jsonl` and trackers are written.

        Args:
            update: that training continues after; lines of later updates are removed.

        Raises:
            MissingExtraError: a tracker's package isn't installed.
        """
        path = self._folder / TRAINING_LOG if self._is_main else None
        with (
            Trackers(self._tracking) as trackers,
            TrainingLog(path, update, trackers.write) as self._log,
            self._progress.task(self._folder.name, 1.0) as self._task,
        ):
            yield

    def say(self, message: str) -> None:
        """Log what happens."""
        if self._is_main:
            logger.info("%s: %s", self._folder.name, message)

    def warn(self, message: str) -> None:
        """Log what somebody should look at."""
        if self._is_main:
            logger.warning("%s: %s", self._folder.name, message)

    def started(self, message: str, facts: Mapping[str, Any]) -> None:
        """A training from the beginning; `facts` go to `log.jsonl`."""
        self.say(message)
        self._log.write("start", 0, 0.0, **facts)

    def resumed(self, state: State) -> None:
        """A training that continues after a checkpoint."""
        self._log.write("resume", state.update, state.seconds)

    def counted(self, *sums: Any) -> None:
        """Count an update that was made, in the next line of `log.jsonl`; see `Interval.add`."""
        self._interval.add(*sums)

    def updated(self, state: State, rate: float, used: float) -> None:
        """An update was made or skipped.

        Args:
            state: after it.
            rate: its learning rate.
            used: share of the budget so far.
        """
        facts = self._interval.facts()
        speed = f"{facts['target_tokens_per_second']:,.0f} target tokens/s"
        self._task.show(used, f"update {state.update}  loss {facts['loss']:.3f}  {speed}")
        if state.update % LOG_EVERY == 0 or used >= 1:
            self._log.write("training", state.update, state.seconds, **facts, learning_rate=rate, skipped=state.skipped)
            self._interval = Interval()

    def validated(self, state: State, loss: float, losses: Mapping[str, float], is_best: bool) -> None:
        """A validation: the loss that decides, and losses by direction, nats per target token."""
        self._log.write("validation", state.update, state.seconds, loss=loss, losses=losses, best=is_best)
        self.say(f"update {state.update}: validation loss {loss:.4f}{' (best)' if is_best else ''}")

    def averaged(self, state: State, updates: list[int], loss: float, losses: Mapping[str, float]) -> None:
        """A validation of the mean of the checkpoints after `updates`; its losses as in `validated`."""
        named = ", ".join(map(str, updates))
        self.say(f"mean of the checkpoints of updates {named}: validation loss {loss:.4f}")
        self._log.write("average", state.update, state.seconds, updates=updates, loss=loss, losses=losses)

    def ended(self, state: State, passes: Mapping[str, float]) -> None:
        """The budget is used up; `passes` over the pairs of each direction."""
        padding = 1 - state.tokens / max(1, state.padded)
        facts = {"best_update": state.best_update, "target_tokens": state.target_tokens, "padding": padding}
        self._log.write("end", state.update, state.seconds, **facts, passes=passes)
        self.say(
            f"{state.update} updates in {state.seconds:,.0f} s: {state.target_tokens:,} target tokens, "
            f"{padding:.1%} of the tokens in batches were padding; best at update {state.best_update}"
        )
