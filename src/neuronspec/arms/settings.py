"""The recipe's settings of the arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from neuronspec.arms.registry import ARMS
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, nearest
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import Name, Positive, Section
from neuronspec.neurons.registry import CRITERIA
from neuronspec.neurons.settings import Coverage, Granularity
from neuronspec.specialization.registry import SEMANTICS


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

    def problems(self, trained: Sequence[Direction]) -> Iterator[str]:
        """What is wrong with the chosen directions.

        Args:
            trained: the directions of the recipe.
        """
        for text in self.directions:
            try:
                direction = Direction.parse(text)
            except DirectionError as error:
                yield f"baselines.bilingual.directions: {error}"
                continue
            if direction not in trained or self.directions.count(text) > 1:
                what = "is named twice" if direction in trained else "isn't trained"
                yield f"baselines.bilingual.directions: {text} {what}; leave it out"


class AveragedSettings(Section):
    """The mean of the baseline's weights and those of an arm (WiSE-FT; Wortsman et al., 2022); nothing is trained."""

    of: str = Field("dense", description="name of the arm")
    base: float = Field(
        0.5, ge=0, le=1, description="weight of the baseline in the mean: 0 gives the arm, 1 the baseline"
    )


class BaselinesSettings(Section):
    """Settings of arms other than `specialized`."""

    adapters: AdapterSettings = AdapterSettings()
    lora: LoraSettings = LoraSettings()
    lass: LassSettings = LassSettings()
    bilingual: BilingualSettings = BilingualSettings()
    averaged: AveragedSettings = AveragedSettings()


OWN: Mapping[str, str] = {
    **{key: f"specialization.{key}" for key in ("semantics", "components", "trainable")},
    **{
        key: f"selection.{key}"
        for key in ("criterion", "coverage", "fraction", "statistic", "granularity", "parameters")
    },
    **{key: f"continuation.{key}" for key in ("learning_rate", "replay")},
    "of": "baselines.averaged.of",
    "average_with_base": "baselines.averaged.base",
}
"""By key of an arm's entry, the key of the recipe whose place it takes for this arm."""


class ArmSettings(Section):
    """An arm with a name and settings of its own, which take the place of the recipe's keys of the same names."""

    name: Name = Field(description="its folder below RUN/arms, and its key in results")
    arm: Annotated[str, OneOf(ARMS)] | None = Field(
        None, description="which arm it is; without it the one that has this name, else specialized"
    )
    semantics: Annotated[str, OneOf(SEMANTICS)] | None = Field(None, description="see specialization")
    components: Literal["both", "encoder", "decoder"] | None = Field(None, description="see specialization")
    trainable: Literal["all", "ffn", "neurons"] | None = Field(None, description="see specialization")
    criterion: Annotated[str, OneOf(CRITERIA)] | None = Field(
        None,
        description="see selection, as the next five. With one of the six, the arm selects neurons of its own from the "
        "run's activations, by the section selection with these changes; without any, it has those of the stage select",
    )
    coverage: Coverage | dict[str, Coverage] | None = Field(None, description="see selection")
    fraction: Coverage | dict[str, Coverage] | None = Field(None, description="see selection")
    statistic: Literal["auto", "count", "magnitude"] | None = Field(None, description="see selection")
    granularity: Granularity | None = Field(None, description="see selection")
    parameters: dict[str, Any] | None = Field(
        None, description="see selection; a change of criterion drops the recipe's"
    )
    learning_rate: float | None = Field(None, gt=0, le=1000, description="see continuation")
    replay: float | None = Field(None, ge=0, lt=1, description="see continuation")
    of: str | None = Field(None, description="of the arm averaged: name of the arm that is averaged with the baseline")
    average_with_base: float | None = Field(
        None, ge=0, le=1, description="of the arm averaged: weight of the baseline in the mean"
    )

    @model_validator(mode="after")
    def _check_name(self) -> ArmSettings:
        if self.name in ("copy", "base"):
            raise ValueError(f"an arm can't be named {self.name!r}: that is a row of its own")
        if self.name in ARMS and self.arm not in (None, self.name):
            raise ValueError(f"the name {self.name!r} is that of an arm, and this is {self.arm!r}: choose another name")
        return self

    @property
    def kind(self) -> str:
        """Which arm it is."""
        return self.arm or (self.name if self.name in ARMS else "specialized")

    @property
    def selects(self) -> bool:
        """Whether it selects neurons of its own."""
        return any(key.startswith("selection.") for key in self.changes)

    @property
    def changes(self) -> dict[str, Any]:
        """By key of the recipe, such as `selection.criterion`, what takes its place."""
        given = {place: getattr(self, key) for key, place in OWN.items() if getattr(self, key) is not None}
        if "selection.criterion" in given:  # what the recipe says of its own criterion means nothing here
            return {"selection.parameters": None, "selection.fraction": None} | given
        return given


def changed_sections(recipe: Section, changes: Mapping[str, Any]) -> dict[str, Section]:
    """Some sections of a recipe with other values.

    Args:
        recipe: that has the sections.
        changes: by key, such as `specialization.semantics`.

    Returns:
        By name, those that change, validated.

    Raises:
        ValidationError: the values don't go together.
    """
    values = {section: getattr(recipe, section).model_dump() for section in {key.split(".")[0] for key in changes}}
    for key, value in changes.items():
        *path, last = key.split(".")
        reduce(dict.__getitem__, path, values)[last] = value
    return {section: type(getattr(recipe, section)).model_validate(own) for section, own in values.items()}


AVERAGED = ("dense", "specialized", "random", "magnitude", "top_fraction")
"""The arms whose weights are those of the baseline, trained on, so that the mean of both means something."""


def averaged_problems(arms: Mapping[str, ArmSettings], default: str) -> Iterator[str]:
    """What is wrong with the arms that are means of the baseline and another arm.

    Args:
        arms: of a recipe, by name.
        default: the arm that is averaged where an entry names none.
    """
    others = [name for name, arm in arms.items() if arm.kind in AVERAGED]
    for name, arm in arms.items():
        of = arm.of or default
        if arm.kind == "averaged" and of in arms and of not in others:
            yield f"arms: {name}: of: {of} can't be averaged with the baseline; choose one of {', '.join(others)}"
        elif arm.kind == "averaged" and of not in others:
            yield f"arms: {name}: of: there is no arm {of!r} to average; {nearest(of, others)}"
