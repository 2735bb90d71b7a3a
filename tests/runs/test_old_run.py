"""A run folder of version 0.1: everything in it is still up to date, and its checkpoint can be gone on from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.cli
FIXTURE = Path(__file__).parents[1] / "fixtures" / "run_0_1"


def neuronspec(*arguments: object) -> str:
    path = os.pathsep.join(filter(None, [str(FIXTURE / "packages"), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": path}
    command = [sys.executable, "-m", "neuronspec", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE / "run", tmp_path / "run"))


@pytest.mark.parametrize("recipe", [FIXTURE / "recipe.yaml", FIXTURE / "run" / "recipe.yaml"])
def test_nothing_is_out_of_date(run: Path, recipe: Path) -> None:
    lines = neuronspec("run", recipe, "--out", run, "--dry-run").splitlines()
    assert len(lines) == 15
    assert [line for line in lines if not line.endswith(": up to date")] == []


def test_training_goes_on_from_its_checkpoint(run: Path) -> None:
    """From its weights and moments, near to where it ended: its batches were others, so its epoch begins again."""
    ended, saved = (load_file(run / "base" / path / "model.safetensors") for path in ("", "checkpoints/step-20"))
    (run / "base" / "model.safetensors").unlink()
    content = json.loads((run / "stages.json").read_text())
    content["tasks"]["train"]["state"] = "started"
    (run / "stages.json").write_text(json.dumps(content))
    assert "resuming after update 20" in neuronspec("train", run)
    assert "each direction begins its present epoch again" in (run / "run.log").read_text()
    found = load_file(run / "base" / "model.safetensors")
    assert found.keys() == ended.keys()
    trained, before, after = (
        torch.cat([weights[name].flatten() for name in saved]) for weights in (found, saved, ended)
    )
    assert 0 < (trained - after).norm() < (after - before).norm() < 2 * (trained - before).norm()


def test_its_scores_are_read_and_its_models_open(run: Path) -> None:
    scores = json.loads(neuronspec("evaluate", run, "--json"))
    assert scores["arms"] == json.loads((FIXTURE / "run" / "results.json").read_text())["arms"]
    assert neuronspec("inspect", run)
    (run.parent / "in.txt").write_text("one two three\n")
    neuronspec("translate", run, run.parent / "in.txt", "--from", "en", "--to", "de", "--out", run.parent / "out.txt")
    assert len((run.parent / "out.txt").read_text().splitlines()) == 1
