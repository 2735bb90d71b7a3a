"""Mixtures of experts are refused by name, before any weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from tests.helpers.families import FAMILIES, build_family

from neuronspec.core.errors import ModelError, RecipeError
from neuronspec.models.load import load_model, outline_model
from neuronspec.models.mixtures import why_not_mixture
from neuronspec.models.pretrained import check_checkpoint
from neuronspec.models.settings import ModelSettings

KINDS = {
    "nllb-moe": ("NllbMoe", 4), "mixtral": ("Mixtral", 4), "qwen3_moe": ("Qwen3Moe", 4),
    "switch_transformers": ("SwitchTransformers", 4), "deepseek_v3": ("DeepseekV3", None), "gpt_oss": ("GptOss", None),
    "dbrx": ("Dbrx", None),
}  # fmt: skip


def config_of(name: str, experts: int | None) -> Any:
    given = {} if experts is None else {"num_local_experts" if name == "Mixtral" else "num_experts": experts}
    return getattr(transformers, f"{name}Config")(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_in_refuses_it_with_the_reason(kind: str, tmp_path: Path) -> None:
    config_of(*KINDS[kind]).save_pretrained(tmp_path)
    fragment = f"'{kind}' has mixture-of-experts feed-forward layers.*use a dense model"
    for read in (load_model, outline_model):
        with pytest.raises(ModelError, match=fragment):
            read(tmp_path)
    with pytest.raises(RecipeError, match=fragment):
        check_checkpoint(ModelSettings(pretrained=str(tmp_path)))


@pytest.mark.parametrize("family", FAMILIES)
def test_dense_families_are_not_taken_for_mixtures(family: str) -> None:
    assert why_not_mixture(build_family(family).config.to_dict()) is None


def test_experts_of_a_part_count_and_one_expert_is_none() -> None:
    reason = why_not_mixture({"model_type": "seen", "text_config": {"num_experts": 8}})
    assert reason is not None and "8 experts to a layer" in reason
    assert why_not_mixture({"model_type": "seen", "num_experts": 1}) is None
    assert why_not_mixture({"model_type": "doge", "num_experts": 16384, "is_moe": False}) is None
