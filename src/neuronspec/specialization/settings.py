"""The recipe's settings of how masks act on the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Added, Positive, Section
from neuronspec.models.settings import ModelSettings
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.training.settings import TrainingSettings


def untrained_tokens(model: ModelSettings, training: TrainingSettings | None) -> int:
    """How many tokens of the baseline have embeddings that no training has seen: those of a changed vocabulary.

    Args:
        model: the model of the recipe.
        training: how the baseline was trained; None if it wasn't.
    """
    return model.new_tokens if training is None or training.freeze_embeddings else 0


class SpecializationSettings(Section):
    """How masks act on the model."""

    semantics: Annotated[str, OneOf(SEMANTICS)] = Field(
        "weight",
        description="what masks do to a feed-forward layer; see the list below",
    )
    components: Literal["both", "encoder", "decoder"] = Field("both", description="which FFNs are specialized")
    trainable: Annotated[Literal["all", "ffn", "neurons"], Added()] = Field(
        "all",
        description="what `specialized`, `dense`, `random`, `magnitude`, `top_fraction` and `finetune` train; all: "
        "every weight; ffn: the FFNs alone; neurons: nothing but neurons that a trained direction selects (all of "
        "them in `dense` and `finetune`), without the bias behind them. With the last two, embeddings of new tokens "
        "(`model.new_languages`, `extend_vocabulary`) are trained too, if no `training` has trained them",
    )
    rerecord_every: Positive | None = Field(
        None,
        description="updates between new recordings of the neurons while the arm specialized is trained; without it "
        "the baseline's masks stay",
    )

    def problems(self, continuation: TrainingSettings, untrained: int = 0) -> Iterator[str]:
        """What of these settings doesn't go with how the arms are trained.

        Args:
            continuation: how they are.
            untrained: tokens of the baseline; see `untrained_tokens`.
        """
        again = "specialization.rerecord_every"
        if self.trainable == "neurons":
            if continuation.parallel == "fsdp":
                yield "continuation.parallel: fsdp shards what trainable: neurons trains in part; set it to ddp"
            if self.rerecord_every is not None:
                yield f"{again}: the optimizer of trainable: neurons can't follow new ones; leave it out"
        rows = self.trainable == "ffn" and untrained and not continuation.freeze_embeddings
        if rows and continuation.parallel == "fsdp":
            yield (
                "continuation.parallel: fsdp shards the embeddings, of which trainable: ffn trains those of new "
                "tokens; set it to ddp, or continuation.freeze_embeddings to true"
            )
        if self.rerecord_every is not None and continuation.updates is None:
            yield f"{again}: counts updates, so continuation.updates must give the budget, not epochs or minutes"
        if self.rerecord_every is not None and continuation.ends_with_budget:
            yield (
                f"{again}: trains in segments, which continuation.schedule: {continuation.schedule} doesn't fit; set "
                "it to inverse_sqrt or constant"
            )
