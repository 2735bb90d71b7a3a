"""Commands that only look at a recipe answer without importing torch, which takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.synthetic import write_recipe
from tests.helpers.toy_sweep import write_sweep

import neuronspec

WITHOUT_TORCH = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "datasets", "pyarrow", "ctranslate2", "lxml"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refused())
from neuronspec.cli.app import main

main()
"""


def without_torch(*arguments: object) -> str:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("command", [[], ["run"], ["sweep"], ["evaluate"], ["analyse"], ["translate"], ["serve"]])
def test_help(command: list[str]) -> None:
    assert "Usage:" in without_torch(*command, "--help")


def test_version() -> None:
    assert without_torch("--version") == f"neuronspec {neuronspec.__version__}\n"


def test_validate(tmp_path: Path) -> None:
    assert ": valid; 6 directions" in without_torch("validate", write_recipe(tmp_path))


def test_the_plan_of_a_run(tmp_path: Path) -> None:
    lines = without_torch("run", write_recipe(tmp_path), "--out", tmp_path / "run", "--dry-run").splitlines()
    assert len(lines) == 15 and lines[0] == "prepare: not run yet"
    assert not (tmp_path / "run").exists()


def test_the_plan_of_a_sweep(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, "arms: {dense: , specialized: }\n")
    assert "dense/seed-1: to do" in without_torch("sweep", file, "--out", tmp_path / "out", "--dry-run")
