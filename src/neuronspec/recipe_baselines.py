"""The recipe's settings of the arms that specialization is compared with (`baselines`)."""

from __future__ import annotations

from pydantic import Field

from neuronspec.recipe_corpus import Positive, Section


class AdapterSettings(Section):
    """Bottleneck adapters after every layer (Bapna and Firat, 2019)."""

    bottleneck: Positive = Field(
        64, description="width of an adapter; adapters_matched takes the one that matches adapters_direction in size"
    )


class LoraSettings(Section):
    """Low-rank updates of the linear layers (Hu et al., 2021)."""

    rank: Positive = Field(8, description="rank of the update of each linear layer")
    alpha: Positive = Field(16, description="the update is scaled by alpha / rank")


class BaselinesSettings(Section):
    """Settings of arms other than `specialized`."""

    adapters: AdapterSettings = AdapterSettings()
    lora: LoraSettings = LoraSettings()
