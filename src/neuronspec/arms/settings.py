"""The recipe's settings of the arms."""

from __future__ import annotations

from pydantic import Field

from neuronspec.core.direction import Direction
from neuronspec.core.settings import Positive, Section


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
