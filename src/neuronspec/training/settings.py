"""The training sections of a recipe, `training` and `continuation`; `recipe` puts them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neuronspec.core.direction import Direction, weight_problems
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import MANY, Added, Positive, Section, Seed
from neuronspec.training.optimizers import OPTIMIZERS
from neuronspec.training.schedules import SCHEDULES, needs_updates

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(Section):
    """One training loop: the baseline's (`training`) or the arms' (`continuation`)."""

    updates: Positive | None = Field(None, description="budget in optimizer updates (one of updates, epochs, minutes)")
    epochs: float | None = Field(
        None,
        gt=0,
        le=MANY,
        description="budget in passes over all training pairs of all directions (without those that are replayed)",
    )
    minutes: float | None = Field(
        None, gt=0, le=MANY, description="budget in minutes of training; not reproducible to the bit"
    )
    seed: Seed | None = Field(
        None, description="of data order and dropout, and of the baseline's weights; the recipe's without it"
    )
    batch_tokens: Positive = Field(
        4096, description="padded tokens of the longer side in one micro-batch (one direction)"
    )
    accumulation: Positive = Field(1, description="micro-batches in one update")
    temperature: float = Field(
        5.0, ge=1, le=MANY, description="directions are sampled in proportion to size^(1/temperature)"
    )
    weights: dict[str, Annotated[float, Field(gt=0, le=MANY)]] | None = Field(
        None, description="instead of temperature: how often each direction is sampled, {en-de: 2, de-en: 1}"
    )
    sample: Annotated[Literal["batches", "sentences"] | None, Added()] = Field(
        None,
        description="what temperature and weights share out: micro-batches (the default where each has one direction), "
        "which hold fewer sentences where these are long; or sentences (where directions are mixed)",
    )
    mix_directions: bool = Field(False, description="micro-batches mix directions instead of holding one each")
    optimizer: Annotated[str, OneOf(OPTIMIZERS), Added()] = Field(
        "adamw",
        description="adamw; adafactor: less memory, learning_rate relative to each weight's size (such as 1e-2); "
        "adamw_8bit: needs the package bitsandbytes",
    )
    schedule: Annotated[str, OneOf(SCHEDULES), Added()] = Field(
        "inverse_sqrt",
        description="of the learning rate after a linear warm-up; linear and cosine fall to 0 at the end of the "
        "budget, which must then be updates or epochs",
    )
    learning_rate: float = Field(5e-4, gt=0, le=1000, description="peak of the schedule")
    warmup: Positive = Field(4000, description="updates of linear warm-up")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over the vocabulary")
    adam_betas: tuple[Decay, Decay] = Field((0.9, 0.98), description="decay of the first and second moment")
    adam_epsilon: float = Field(1e-6, gt=0, le=1, description="added to the root of the second moment")
    weight_decay: float = Field(0.0, ge=0, le=1000, description="decoupled, as in AdamW")
    clip_norm: float = Field(
        1.0, ge=0, le=MANY, description="largest norm of the gradient of an update; 0: it isn't clipped"
    )
    precision: Literal["auto", "bf16", "fp16", "float32"] = Field(
        "auto",
        description="auto: bf16 autocast where the machine has it in hardware; fp16 is for GPUs that haven't: the loss "
        "is scaled, and updates whose gradient overflows are skipped",
    )
    tag_loss: Annotated[bool, Added()] = Field(
        False,
        description="the tag of the target language, which translations are begun with, also takes loss (the paper's)",
    )
    select_by: Annotated[Literal["mean", "pooled"], Added()] = Field(
        "mean",
        description="the validation loss that tells the best checkpoint; mean: over directions, without label "
        "smoothing; pooled: over all target tokens, with it (the paper's)",
    )
    validate_every: Positive = Field(500, description="updates between validations; the best checkpoint is the result")
    validation_sentences: Positive = Field(200, description="validation sentences per direction")
    patience: Positive | None = Field(
        None, description="stop after so many validations in a row that were no better than the best"
    )
    save_every: Positive = Field(500, description="updates between checkpoints to resume from")
    keep_checkpoints: Positive = Field(2, description="last checkpoints that are kept, beside the best")
    average_checkpoints: Positive | None = Field(
        None, description="the result is the mean of the last so many checkpoints, instead of the best one"
    )
    freeze_embeddings: Annotated[bool, Added()] = Field(
        False,
        description="don't train the tables with a row for each piece of the vocabulary (input embeddings, output "
        "projection): they need neither gradient nor optimizer state",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, for a second forward pass"
    )
    compile: bool = Field(False, description="torch.compile, for GPUs (not measured there yet); refused on a CPU")
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="over several processes: each holds all weights (ddp), or a share of them (fsdp, FSDP2)"
    )

    @model_validator(mode="after")
    def _check_budget(self) -> TrainingSettings:
        given = [name for name in ("updates", "epochs", "minutes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of updates, epochs, minutes; given: {', '.join(given) or 'none'}")
        return self

    @model_validator(mode="after")
    def _check_schedule(self) -> TrainingSettings:
        if self.minutes is not None and self.ends_with_budget:
            raise ValueError(
                f"schedule: {self.schedule} needs the number of updates in advance, which a budget in minutes doesn't "
                "give: set updates or epochs, or schedule: inverse_sqrt or constant"
            )
        return self

    @model_validator(mode="after")
    def _check_sample(self) -> TrainingSettings:
        if self.mix_directions and self.sample == "batches":
            raise ValueError("sample: batches that mix directions are drawn by sentences; leave sample out")
        return self

    @model_validator(mode="after")
    def _check_optimizer(self) -> TrainingSettings:
        if self.parallel == "fsdp" and self.optimizer != "adamw":
            raise ValueError(
                f"optimizer: the state of {self.optimizer} can't be sharded by parallel: fsdp; "
                "set parallel: ddp, or optimizer: adamw"
            )
        return self

    def problems(self, name: str, trained: Sequence[Direction], dtype: str) -> Iterator[str]:
        """What of these settings doesn't go with the rest of a recipe.

        Args:
            name: of the section.
            trained: its directions.
            dtype: of the model's weights.
        """
        for problem in [] if self.weights is None else weight_problems(self.weights, trained):
            yield f"{name}.weights: {problem}; give a weight to every trained direction"
        if dtype == "float32":
            return
        if self.precision in ("float32", "fp16"):
            yield (
                f"{name}.precision: {self.precision} can't compute with the weights of model.dtype: {dtype}; set it to "
                "auto or bf16, or model.dtype to float32"
            )
        if self.parallel == "fsdp":
            yield (
                f"{name}.parallel: fsdp shards weights of one type, and with model.dtype: {dtype} those that are "
                "trained have another; set it to ddp, or model.dtype to float32"
            )

    @property
    def ends_with_budget(self) -> bool:
        """Whether the learning rate depends on how many updates the budget is."""
        return needs_updates(self.schedule)


class ContinuationSettings(TrainingSettings):
    """The training of the arms: the keys of `training`, and which directions are adapted."""

    directions: Annotated[list[str], Added()] = Field(
        [],
        description="directions that the arms train on (adaptation), such as [en-de, de-en]; all without it. Neurons "
        "are recorded and selected for all directions, and all are evaluated",
    )
    replay: Annotated[float, Added()] = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the text that is drawn from the other directions while the arms train on `directions`, "
        "so that less of them is forgotten",
    )

    @model_validator(mode="after")
    def _check_replay(self) -> ContinuationSettings:
        if self.replay and not self.directions:
            raise ValueError(
                "replay draws from the directions that aren't adapted: list the adapted ones in continuation.directions"
            )
        return self


def budget(settings: TrainingSettings, updates: int, **changes: Any) -> TrainingSettings:
    """The same settings with another budget, in updates.

    Args:
        settings: to change.
        updates: the budget.
        changes: other settings to change.
    """
    fields = {"updates": updates, "epochs": None, "minutes": None, **changes}
    return type(settings).model_validate(settings.model_dump() | fields)
