"""The recipe's settings of how masks act on the model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Added, Positive, Section
from neuronspec.specialization.registry import SEMANTICS


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
        "them in `dense` and `finetune`), without the bias behind them",
    )
    rerecord_every: Positive | None = Field(
        None,
        description="updates between new recordings of the neurons while the arm specialized is trained; without it "
        "the baseline's masks stay",
    )
