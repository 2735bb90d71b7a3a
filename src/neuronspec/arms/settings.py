"""The recipe's settings of the arms that specialization is compared with (`baselines`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError
from neuronspec.corpus.settings import Positive, Section

if TYPE_CHECKING:
    from neuronspec.recipe import Recipe


class AdapterSettings(Section):
    """Bottleneck adapters after every layer (Bapna and Firat, 2019)."""

    bottleneck: Positive = Field(
        64, description="width of an adapter; adapters_matched takes the one that matches adapters_direction in size"
    )


class LoraSettings(Section):
    """Low-rank updates of the linear layers (Hu et al., 2021)."""

    rank: Positive = Field(8, description="rank of the update of each linear layer")
    alpha: Positive = Field(16, description="the update is scaled by alpha / rank")


class LassSettings(Section):
    """A sub-network for each direction, found by fine-tuning and pruning (LaSS; Lin et al., 2021)."""

    updates: Positive | None = Field(
        None, description="updates of each direction's fine-tuning, before pruning; the arm lass needs it"
    )
    pruning_rate: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="share of each matrix's weights that a direction leaves out (the paper's alpha, which its "
        "configurations leave open: to be tuned)",
    )


class BilingualSettings(Section):
    """A new model for each of some directions, from scratch and on that direction's text alone."""

    directions: list[str] = Field([], description="trained directions that get a model, such as [en-de, de-en]")
    updates: Positive | None = Field(
        None, description="updates of each model's training; the rest as in training; the arm bilingual needs it"
    )

    @property
    def chosen(self) -> list[Direction]:
        """The directions that get a model, sorted."""
        return sorted(Direction.parse(text) for text in self.directions)


class BaselinesSettings(Section):
    """Settings of arms other than `specialized`."""

    adapters: AdapterSettings = AdapterSettings()
    lora: LoraSettings = LoraSettings()
    lass: LassSettings = LassSettings()
    bilingual: BilingualSettings = BilingualSettings()


def arm_problems(recipe: Recipe) -> Iterator[str]:
    """What the arms of a recipe ask for and it doesn't give, or gives and they can't do."""
    lass, bilingual = recipe.baselines.lass, recipe.baselines.bilingual
    if "lass" in recipe.arms:
        yield from ["the arm lass needs baselines.lass.updates"] * (lass.updates is None)
        if recipe.continuation.parallel == "fsdp":
            yield "continuation.parallel: the arm lass swaps whole weights, which fsdp shards; set it to ddp"
    if "bilingual" in recipe.arms:
        missing = [f"baselines.bilingual.{key}" for key in ("directions", "updates") if not getattr(bilingual, key)]
        yield from [f"the arm bilingual needs {' and '.join(missing)}"] * bool(missing)
    yield from _direction_problems(bilingual.directions, recipe.corpus.all_directions)
    if recipe.specialization.rerecord_every is not None and recipe.continuation.updates is None:
        yield (
            "specialization.rerecord_every: counts updates, so continuation.updates must give the budget, "
            "not epochs or minutes"
        )


def _direction_problems(named: Sequence[str], trained: Sequence[Direction]) -> Iterator[str]:
    for text in named:
        try:
            direction = Direction.parse(text)
        except DirectionError as error:
            yield f"baselines.bilingual.directions: {error}"
            continue
        if direction not in trained or named.count(text) > 1:
            what = "is named twice" if direction in trained else "isn't trained"
            yield f"baselines.bilingual.directions: {text} {what}; leave it out"
