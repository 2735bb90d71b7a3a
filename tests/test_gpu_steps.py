"""The steps for a borrowed GPU, tried on a CPU at tiny sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).parents[1] / "benchmarks" / "gpu" / "steps.py"


def steps(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(STEPS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def test_help_names_the_steps() -> None:
    done = steps("--help")
    assert done.returncode == 0
    for step in ("tests", "loops", "steps", "profile"):
        assert f"`{step}`" in done.stdout


@pytest.mark.slow
def test_steps_write_their_results_and_are_not_repeated(tmp_path: Path) -> None:
    done = steps("steps", "profile", "--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "steps.json").read_text())["tiny, 256 tokens"]
    assert set(found["milliseconds"]) == {"dense", "plain", "auto", "rows", "weights"}
    assert json.loads((tmp_path / "profile.json").read_text())["dense, 256 tokens"]["nonzero"] > 0
    written = (tmp_path / "steps.json").stat().st_mtime_ns
    again = steps("steps", "--quick", "--out", tmp_path)
    assert again.returncode == 0 and (tmp_path / "steps.json").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_step_that_fails_says_how(tmp_path: Path) -> None:
    done = steps("loops", "--quick", "--out", tmp_path)
    assert done.returncode == 1
    assert "needs --data" in "\n".join(json.loads((tmp_path / "loops.json").read_text())["end of the log"])
