"""The arms by name: what they declare is read without torch, and one of a user's own is like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.toy_arm import toy_recipe, trained

from neuronspec.arms.arm import get_arm
from neuronspec.arms.dense import Dense
from neuronspec.arms.registry import ARMS, register_arm
from neuronspec.core.errors import RecipeError
from neuronspec.runs.pipeline import tasks_of

PLAN = """
import sys
from neuronspec.arms.arm import get_arm
from neuronspec.arms.registry import ARMS
for name in ARMS:
    assert get_arm(name).needs and get_arm(name).sections
sys.exit("torch is imported" if "torch" in sys.modules else 0)
"""


def test_what_arms_declare_is_read_without_torch() -> None:
    result = subprocess.run([sys.executable, "-c", PLAN], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_an_arm_of_ones_own_is_named_in_a_recipe(tmp_path: Path) -> None:
    @register_arm("mine")
    class Mine(Dense):
        """As dense."""

    try:
        recipe = toy_recipe(arms=["mine"])
        trained(tmp_path, "mine", arms=["mine"])
        assert (tmp_path / "arms" / "mine" / "model.safetensors").is_file()
        assert recipe.arms == ["mine", "dense", "random"]
        assert "specialize/mine" in [task.name for task in tasks_of(recipe)]
        assert isinstance(get_arm("mine"), Mine)
        with pytest.raises(RecipeError, match="'mine' is registered already"):
            register_arm("mine", Dense)
    finally:
        ARMS.remove("mine")
