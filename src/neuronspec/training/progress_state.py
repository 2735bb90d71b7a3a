"""The state of a training: counters, the best validation so far, and how much of the budget is used."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator

from neuronspec.batching.stream import TrainingBatches, Update
from neuronspec.core.direction import Direction
from neuronspec.training.settings import TrainingSettings

FIRST_SCALE, SMALLEST_SCALE, LARGEST_SCALE = 2.0**7, 2.0**-7, 2.0**24
"""What the loss is multiplied by in fp16, so that small gradients don't become 0; fairseq begins with this one, too."""

SCALE_KEPT = 2000
"""Updates after which a larger scale is tried."""


@dataclass
class State:
    """Everything but tensors that a checkpoint holds, as plain JSON values.

    Args:
        update: updates done, skipped ones included.
        validated: the last update that was validated.
        best_update: the update with the lowest validation loss.
        best_loss: that loss, as `select_by` says, in nats per token.
        best_losses: without label smoothing, by direction.
        without_gain: validations since it.
        target_tokens: trained on so far.
        tokens: of both sides so far, without padding, in this process.
        padded: the same with padding.
        seconds: of training so far, validation and saving included.
        skipped: updates without a finite gradient.
        skipped_in_row: the last of them that followed each other.
        scale: with fp16, what the loss is multiplied by.
        scaled: with fp16, updates with a finite gradient since it was changed.
        batches: the state of `TrainingBatches`.
    """

    update: int = 0
    validated: int = 0
    best_update: int | None = None
    best_loss: Annotated[float, BeforeValidator(lambda saved: math.inf if saved is None else saved)] = math.inf
    best_losses: dict[str, float] = field(default_factory=dict)
    without_gain: int = 0
    target_tokens: int = 0
    tokens: int = 0
    padded: int = 0
    seconds: float = 0.0
    skipped: int = 0
    skipped_in_row: int = 0
    scale: float = FIRST_SCALE
    scaled: int = 0
    batches: dict[str, Any] = field(default_factory=dict)

    def count(self, update: Update) -> None:
        """Count an update with a finite gradient; its padding by this process's micro-batches."""
        self.skipped_in_row = 0
        self.target_tokens += update.target_tokens
        self.tokens += sum(one.tokens for one in update.micro_batches)
        self.padded += sum(one.padded for one in update.micro_batches)

    def rescale(self, finite: bool) -> bool:
        """Change the scale of fp16 after an update: half of it after an overflow, twice after many without.

        Source: Micikevicius et al. (2018), "Mixed Precision Training", section 3.2.

        Args:
            finite: whether the gradient was.

        Returns:
            Whether another scale is tried; False where the gradient isn't finite with the smallest one either.
        """
        self.scaled += 1
        if not finite:
            self.scale, self.scaled = self.scale / 2, 0
        elif self.scaled >= SCALE_KEPT:
            self.scale, self.scaled = min(2 * self.scale, LARGEST_SCALE), 0
        return self.scale >= SMALLEST_SCALE

    def validate(self, loss: float, losses: dict[str, float]) -> bool:
        """Take in a validation's loss and losses by direction; True if the loss is the lowest so far."""
        is_best = loss < self.best_loss
        if is_best:
            self.best_update, self.best_loss, self.best_losses = self.update, loss, losses
        self.without_gain = 0 if is_best else self.without_gain + 1
        self.validated = self.update
        return is_best

    def to_json(self) -> dict[str, Any]:
        """The fields, as `trainer.json` has them; an infinite `best_loss` (none yet) as null."""
        return asdict(self) | {"best_loss": None if math.isinf(self.best_loss) else self.best_loss}


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: so many updates, or so many seconds."""

    updates: int | None
    seconds: float | None

    @classmethod
    def of(cls, settings: TrainingSettings, batches: TrainingBatches, micro_batches: int) -> Budget:
        """The budget of `settings`. An epoch has as many micro-batches as hold each pair of each direction once.

        Args:
            settings: `updates`, `epochs` or `minutes`.
            batches: of the training, for the length of an epoch.
            micro_batches: in an update, over all processes.
        """
        if settings.epochs is not None:
            epochs = Fraction(str(settings.epochs))  # as it is written: 1.1 * 10 is a little more than 11
            return cls(math.ceil(epochs * batches.batches_per_epoch() / micro_batches), None)
        return cls(settings.updates, None if settings.minutes is None else settings.minutes * 60)

    def used(self, state: State) -> float:
        """The share of the budget that is used up; training is done at 1 or more."""
        if self.updates is not None:
            return state.update / self.updates
        return state.seconds / self.seconds if self.seconds else 1.0


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The outcome of a training.

    Args:
        updates: done, skipped ones included.
        best_update: the one whose weights were exported.
        validation: its cross-entropy by direction, nats per token.
        target_tokens: trained on.
        seconds: of training, over all its parts.
    """

    updates: int
    best_update: int
    validation: dict[Direction, float]
    target_tokens: int
    seconds: float


class Interval:
    """Sums over the updates since the last line of the log."""

    def __init__(self) -> None:
        self.updates = self.target_tokens = self.tokens = self.padded = 0
        self.smoothed = self.nats = self.norms = self.seconds = 0.0

    def add(self, update: Update, smoothed: float, nats: float, norm: float, seconds: float) -> None:
        """Count an update; its padding by this process's micro-batches."""
        self.updates += 1
        self.target_tokens += update.target_tokens
        self.tokens += sum(one.tokens for one in update.micro_batches)
        self.padded += sum(one.padded for one in update.micro_batches)
        self.smoothed, self.nats, self.norms = self.smoothed + smoothed, self.nats + nats, self.norms + norm
        self.seconds += seconds

    def facts(self) -> dict[str, float]:
        """Means over the interval, as `log.jsonl` names them."""
        targets, updates = max(1, self.target_tokens), max(1, self.updates)
        return {
            "loss": self.smoothed / targets,
            "nll": self.nats / targets,
            "gradient_norm": self.norms / updates,
            "update_seconds": self.seconds / updates,
            "target_tokens_per_second": self.target_tokens / max(self.seconds, 1e-9),
            "padding": 1 - self.tokens / max(1, self.padded),
        }
