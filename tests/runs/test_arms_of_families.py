"""All arms in runs that start from each family of models, and what a family can't do is refused before the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.prompted_checkpoints import PROMPTED
from tests.helpers.synthetic import write_table
from tests.runs.test_pretrained import BUDGET, call, refused, sentences, write_recipe

from neuronspec.arms.kinds import ARMS, SETTINGS
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

pytestmark = pytest.mark.cli
SAMPLED = "qwen3"
"""The family whose runs are always tested: the one that is least like the models that are trained here."""

ALL = [name for name, part in ARMS.items() if not part.refused]
SMALL = {"lass": {"updates": 2}, "lora": {"rank": 2, "alpha": 4}, "adapters": {"bottleneck": 4}}
BY_LANGUAGE = {
    "recording": {"positions": "continuation", "sentences": 10},
    "selection": {"granularity": "language", "coverage": {"layers/out": 0.8, "layers": 0.7}},
}
COUNTED = ("t5",)
"""Families with ReLU."""


def checkpoint(folder: Path, family: str) -> Path:
    """A folder with a table and a tiny checkpoint."""
    write_table(folder / "table.tsv", rows=200)
    PROMPTED[family](folder / "checkpoint", sentences(folder / "table.tsv"))
    return folder


@pytest.mark.parametrize(
    "family", [name if name == SAMPLED else pytest.param(name, marks=pytest.mark.slow) for name in sorted(PROMPTED)]
)
def test_all_arms_are_trained_and_scored(family: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = checkpoint(tmp_path, family)
    config = json.loads((folder / "checkpoint" / "config.json").read_text())
    causal = not config.get("is_encoder_decoder")
    asked: dict[str, Any] = BY_LANGUAGE if causal else {}
    updates = {"updates": 12, "learning_rate": 1e-2}
    recipe = write_recipe(folder, arms=ALL, baselines=SMALL, continuation=BUDGET | updates, **asked)
    call("run", recipe, "--out", folder / "run")
    arms = json.loads((folder / "run" / "results.json").read_text())["arms"]
    assert set(arms) == {"copy", "base", *ALL}
    total = {name: sum(scores["loss"] for scores in arms[name].values()) for name in arms if name != "copy"}
    assert all(total[name] < total["base"] for name in ("specialized", "dense", "random", "lora", "adapters_direction"))
    acts = Activations.load(folder / "run" / "activations.safetensors")
    masks = NeuronMasks.load(folder / "run" / "masks.safetensors")
    assert f"statistic='{'count' if family in COUNTED else 'magnitude'}'" in str(masks.info.criterion)
    assert acts.info.positions == ("continuation" if causal else "both")
    if causal:  # by the target's language
        assert masks["de-en"]["layers.0"] is masks["fr-en"]["layers.0"]
        assert not masks["en-de"]["layers.0"].equal(masks["en-fr"]["layers.0"])
    uniform = NeuronMasks.load(folder / "run" / "arms" / "top_fraction" / "neuron_masks.safetensors")
    assert f"statistic='{acts.statistic}'" in str(uniform.info.criterion)


@pytest.mark.parametrize(
    ("family", "changes", "name"),
    [
        ("llama", {"evaluation": {"zero_shot": ["de-fr"]}}, "evaluation.zero_shot"),
        ("llama", {"specialization": {"components": "encoder"}}, "specialization.components: encoder"),
        ("llama", {"selection": {"granularity": "language"}}, "selection.granularity: language or family"),
        ("t5", {"recording": {"positions": "prompt"}}, "recording.positions: prompt or continuation"),
    ],
)
def test_what_a_family_can_not_do_is_refused_by_validate_and_run(
    family: str, changes: dict[str, Any], name: str, tmp_path: Path
) -> None:
    recipe = write_recipe(checkpoint(tmp_path, family), **changes)
    (reason,) = set(SETTINGS[name].refused.values())
    for command in (("validate", recipe), ("run", recipe, "--out", tmp_path / "run")):
        assert reason in " ".join(refused(*command).split())
    assert not (tmp_path / "run" / "data").exists()
