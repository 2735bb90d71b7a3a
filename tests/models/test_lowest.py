"""`make test-lowest` tests the lowest transformers that pyproject.toml allows, in other processes, too."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import transformers
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ASKED_FOR = "LOWEST_TRANSFORMERS"
"""The variable by which the Makefile says which version goes before that of `.venv`."""


def allowed() -> Requirement:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (one,) = (each for each in map(Requirement, project["dependencies"]) if each.name == "transformers")
    return one


def test_the_version_is_one_that_we_allow() -> None:
    assert allowed().specifier.contains(transformers.__version__)


@pytest.mark.skipif(ASKED_FOR not in os.environ, reason="make test-lowest sets it")
def test_it_is_the_lowest() -> None:
    lowest = next(Version(one.version) for one in allowed().specifier if one.operator == ">=")
    assert Version(os.environ[ASKED_FOR]) == lowest
    command = [sys.executable, "-c", "import transformers; print(transformers.__version__)"]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for found in (transformers.__version__, elsewhere):
        assert Version(found) == lowest
