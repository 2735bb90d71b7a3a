"""A recipe run by two processes under torchrun, on one machine and as on two, for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import write_recipe

from neuronspec.neurons.activations import Activations
from neuronspec.training.log import read_log

pytestmark = pytest.mark.cli
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
LAUNCH = [sys.executable, "-m", "torch.distributed.run"]
TORCHRUN = [*LAUNCH, "--standalone", "--nproc-per-node", "2", "-m", "neuronspec"]


def launched(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False)


def run_on_two_machines(*arguments: object) -> str:
    """Start two launchers with a process each, as docs/clusters.md does on two machines; returns what both print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    machines = ["--nnodes", "2", "--nproc-per-node", "1"]
    meeting = ["--rdzv-id", "7", "--rdzv-backend", "c10d", "--rdzv-endpoint", place]
    command = [*LAUNCH, *machines, *meeting, "-m", "neuronspec", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": ENVIRONMENT}
    launchers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    printed = [launcher.communicate(timeout=300)[0] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], printed
    return "".join(printed)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_recipe(tmp_path_factory.mktemp("processes"))
    text = path.read_text(encoding="utf-8").replace("[de, fr, it]", "[de, fr]").replace("updates: 40", "updates: 20")
    path.write_text(text + "analysis: {sentences: 10, parts: 2}\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def both(recipe: Path) -> Path:
    """A run that two processes made."""
    out = recipe.parent / "both"
    printed = run_on_two_machines("run", recipe, "--out", out)
    assert printed.count("report: /") == 1
    return out


def test_two_processes_make_what_one_makes(recipe: Path, both: Path, tmp_path: Path) -> None:
    """Dropout and all; the one accumulates what the two have each."""
    twice = [part for name in ("training", "continuation") for part in ("--set", f"{name}.accumulation=2")]
    alone = neuronspec("run", recipe, "--out", tmp_path / "alone", *twice)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    one, two = (json.loads((folder / "results.json").read_text())["arms"] for folder in (tmp_path / "alone", both))
    assert {arm: set(scores) for arm, scores in one.items()} == {arm: set(scores) for arm, scores in two.items()}
    assert one["copy"] == two["copy"]
    for arm in ("base", "specialized", "dense", "random"):
        for direction, scores in one[arm].items():
            assert two[arm][direction]["loss"] == pytest.approx(scores["loss"], abs=2e-3)
    assert read_log(both / "base" / "log.jsonl")[0]["processes"] == 2
    # From the same weights, recorded counts and scores are the same, whoever counted which sentences.
    again = Path(shutil.copytree(both, tmp_path / "recorded"))
    (again / "activations.safetensors").unlink()
    recorded = neuronspec("record", again)
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    found, expected = (Activations.load(folder / "activations.safetensors") for folder in (again, both))
    assert found.tokens == expected.tokens
    for name, sites in expected.counts.items():
        assert all(torch.equal(found.counts[name][site], counts) for site, counts in sites.items())
    again = Path(shutil.copytree(both, tmp_path / "evaluated"))
    shutil.rmtree(again / "evaluation")
    evaluated = neuronspec("evaluate", again)
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    assert json.loads((again / "results.json").read_text())["arms"] == two


@pytest.mark.slow
def test_two_processes_evaluate_as_one_with_the_other_engine_too(both: Path, tmp_path: Path) -> None:
    for name, start in (("two", launched), ("one", neuronspec)):
        other = start("evaluate", shutil.copytree(both, tmp_path / name), "--set", "evaluation.engine=ctranslate2")
        assert other.returncode == 0, other.stdout + other.stderr
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["arms"] == two["arms"]
    assert all("ctranslate2" in results["arithmetic"]["base"]["evaluation"] for results in (one, two))


def until_logged(process: subprocess.Popen[str], log: Path, kind: str) -> None:
    """Wait until training has written a line of `kind`."""
    deadline = time.monotonic() + 200
    while not any(line["kind"] == kind for line in read_log(log)) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def test_sigterm_to_torchrun_saves_and_the_same_command_goes_on(recipe: Path, tmp_path: Path) -> None:
    arguments = ["--out", tmp_path / "run", "--set", "training.updates=100000", "--set", "training.save_every=100000"]
    prepared = neuronspec("run", recipe, *arguments, "--stage", "prepare")
    assert prepared.returncode == 0, prepared.stderr
    command = [*TORCHRUN, "run", str(recipe), *map(str, arguments), "--stage", "train"]
    log, saved = tmp_path / "run" / "base" / "log.jsonl", []
    for kind in ("training", "resume"):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": ENVIRONMENT}
        process = subprocess.Popen(command, **pipes)
        until_logged(process, log, kind)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=200)
        assert process.returncode != 0
        assert "stopped by SIGTERM after update" in output, output
        checkpoints = (tmp_path / "run" / "base" / "checkpoints").iterdir()
        saved.append(max(int(path.name.removeprefix("step-")) for path in checkpoints))
    assert 10 <= saved[0] <= saved[1]
    assert [line["update"] for line in read_log(log) if line["kind"] == "resume"] == [saved[0]]
