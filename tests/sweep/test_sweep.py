"""Sweeps run for real: from text to tables, killed and restarted, with failures.

Where a test isn't about the processes, they are forks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.forked import neuronspec
from tests.helpers.toy_sweep import ENVIRONMENT, SMALL, command, sweep, write_sweep

from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline
from neuronspec.sweep.settings import Sweep

pytestmark = pytest.mark.cli
TEXT = SMALL + "seeds: [1, 2]\narms: {dense: , specialized: }\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    arguments = ("--out", folder / "out", "--processes", 2, "--tables", folder / "tables")
    result = neuronspec("sweep", write_sweep(folder, TEXT), *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "specialized" in result.stdout and "chrF++ over dense" in result.stdout
    return folder / "out"


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def finished_tasks(folder: Path) -> dict[str, str]:
    """When each task of each run folder was finished."""
    found = {}
    for path in folder.rglob("stages.json"):
        for name, entry in json.loads(path.read_text())["tasks"].items():
            if entry["state"] == "finished":
                found[f"{path.parent.relative_to(folder)} {name}"] = entry["finished"]
    return found


def test_one_table_with_scores_differences_and_costs(finished: Path) -> None:
    found = results(finished)
    assert list(found["arms"]) == ["copy", "base", "dense", "specialized"]
    assert found["entries"]["specialized"]["seeds"] == [1, 2]
    gain = found["differences"]["specialized"]["dense"]["chrf++"]["all"]
    means = {name: found["entries"][name]["means"]["all"]["chrf++"] for name in ("specialized", "dense")}
    assert gain["difference"] == pytest.approx(means["specialized"]["mean"] - means["dense"]["mean"], abs=1e-6)
    by_seed = [one - other for one, other in zip(means["specialized"]["values"], means["dense"]["values"], strict=True)]
    assert gain["seeds"]["values"] == pytest.approx(by_seed, abs=1e-6)
    assert gain["over"] == "seeds" and found["base_seeds"] == []
    for name in ("these_trainings", "other_trainings", "other_directions"):
        assert gain[name]["low"] <= gain["difference"] <= gain[name]["high"]
    assert gain["correlation"] is None or abs(gain["correlation"]) <= 1
    for name, direction in (("specialized", "en-de"), ("dense", "de-en")):
        folders = [finished / "cells" / name / f"seed-{seed}" / "evaluation" / name for seed in (1, 2)]
        cells = [json.loads((folder / "scores.json").read_text()) for folder in folders]
        mean = sum(cell["scores"][direction]["chrf++"] for cell in cells) / 2
        assert found["arms"][name][direction]["chrf++"] == pytest.approx(mean)
    assert found["entries"]["dense"]["cost"]["prepare_seconds"] == 0
    assert found["entries"]["specialized"]["cost"]["prepare_seconds"] > 0
    assert (finished.parent / "tables" / "entries.md").read_text().count("specialized") == 1


@pytest.mark.slow
def test_several_baselines_are_trained_and_generalised_over(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, SMALL + "base_seeds: [1, 2]\nseeds: [1, 2]\narms: {dense: , specialized: }\n")
    done = sweep(path, "--out", tmp_path / "out", "--processes", 2, "--tables", tmp_path / "tables")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "other baselines excludes 0" in " ".join(done.stdout.split())
    found = results(tmp_path / "out")
    entry, gain = found["entries"]["specialized"], found["differences"]["specialized"]["dense"]["chrf++"]["all"]
    assert (entry["seeds"], entry["base_seeds"]) == ([1, 2], [1, 2])
    assert len(entry["means"]["all"]["loss"]["values"]) == 4
    assert gain["over"] == "baselines" and len(gain["seeds"]["values"]) == 2
    losses = [
        json.loads((folder / "evaluation" / "base" / "scores.json").read_text())["scores"]["en-de"]["loss"]
        for folder in sorted((tmp_path / "out" / "shared").glob("evaluate-base-*"))
    ]
    assert len(losses) == 2 and losses[0] != losses[1]
    assert found["arms"]["base"]["en-de"]["loss"] == pytest.approx(sum(losses) / 2)
    assert "p, given this baseline" not in (tmp_path / "tables" / "differences.md").read_text()


def test_arms_of_one_seed_see_the_same_data_and_seeds_differ(finished: Path) -> None:
    def passes(entry: str, seed: int) -> Any:
        log = finished / "cells" / entry / f"seed-{seed}" / "arms" / entry / "log.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return lines[-1]["target_tokens"], [line["loss"] for line in lines if line["kind"] == "validation"]

    assert passes("dense", 1)[0] == passes("specialized", 1)[0]
    assert passes("dense", 1)[1] != passes("dense", 2)[1]


def test_again_does_nothing_and_another_sweep_is_refused(finished: Path) -> None:
    before = finished_tasks(finished)
    again = neuronspec("sweep", finished.parent / "sweep.yaml", "--out", finished)
    assert again.returncode == 0 and "0 to do" in again.stdout
    assert finished_tasks(finished) == before
    other = write_sweep(finished.parent / "other", TEXT.replace("name: toy", ""))
    other.write_text(other.read_text().replace("name: toy", "name: other"))
    refused = neuronspec("sweep", other, "--out", finished)
    assert refused.returncode == 1 and "another sweep" in refused.stderr


@pytest.mark.slow
def test_killed_and_restarted_repeats_nothing_and_loses_nothing(finished: Path, tmp_path: Path) -> None:
    path, out = write_sweep(tmp_path, TEXT), tmp_path / "out"
    with subprocess.Popen(
        command(path, "--out", out, "--processes", 2), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:  # until a cell is done and another one runs
            if line.startswith("dense/") and ": done" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
    before = finished_tasks(out)
    assert any("cells/dense" in name for name in before)
    again = sweep(path, "--out", out, "--processes", 2)
    assert again.returncode == 0, again.stdout + again.stderr
    after = finished_tasks(out)
    assert {name: after[name] for name in before} == before
    assert results(out)["arms"] == results(finished)["arms"]


def test_a_failure_stops_nothing_but_itself(finished: Path, tmp_path: Path) -> None:
    path, out = finished.parent / "failing.yaml", tmp_path / "out"
    empty = "bad: {arm: dense, set: {corpus.filters.characters: {min: 5000}}}"  # the first one, and without any text
    arms = f"arms: {{{empty}, dense: , wild: {{arm: specialized, set: {{selection.criterion: lape}}}}}}\n"
    path.write_text(f"name: toy\nrecipe: toy.yaml\n{SMALL}{arms}", encoding="utf-8")
    shutil.copytree(finished, out, ignore=shutil.ignore_patterns("cells"))  # what both sweeps need is done
    result = sweep(path, "--out", out)
    assert "dense/seed-1: started" in result.stdout and not re.search(
        r"^train-\S+: started", result.stdout, re.MULTILINE
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "wild/seed-1" in result.stderr and "selects no neuron" in result.stderr
    found = results(out)
    assert list(found["entries"]) == ["dense"] and {"bad/seed-1", "wild/seed-1"} <= found["failed"].keys()


@pytest.mark.slow
def test_the_run_that_it_begins_from_stays_as_it_is(tmp_path: Path) -> None:
    path, run = write_sweep(tmp_path, SMALL + "arms: {dense: , random: }\n"), tmp_path / "run"
    made = [cell for cell, _ in Sweep.load(path).recipes() if cell.entry == "dense"]
    Pipeline(Recipe.load(tmp_path / "toy.yaml", [*made[0].given.values()]), run).execute()
    shutil.rmtree(run / "evaluation" / "copy")
    before = content(run)
    first = sweep(path, "--out", tmp_path / "out", "--base", run)
    assert first.returncode == 0, first.stdout + first.stderr
    assert list(results(tmp_path / "out")["arms"]) == ["copy", "base", "dense", "random"]
    rescored = ("--set", "evaluation.scores.tokenizers={de: char}")
    again = sweep(path, "--out", tmp_path / "out", "--base", run, *rescored)
    assert "0 to do" in again.stdout, again.stdout + again.stderr
    assert content(run) == before
    plan = sweep(path, "--out", tmp_path / "out", "--base", run, *rescored, "--dry-run")
    assert plan.returncode == 0 and "to do" not in plan.stdout


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    budget = "continuation.updates: null\n  continuation.minutes: 5"
    text = SMALL.replace("continuation.updates: 6", budget) + "arms: {dense: }\n"
    path, out = write_sweep(tmp_path, text), tmp_path / "out"
    with subprocess.Popen(command(path, "--out", out), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        log = out / "cells" / "dense" / "seed-1" / "arms" / "dense" / "log.jsonl"
        while not (log.exists() and '"validation"' in log.read_text()):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    saved = sorted((log.parent / "checkpoints").glob("step-*"))
    assert saved, "the worker saved before it ended"


@pytest.mark.slow
def test_an_adaptation_ends_with_a_frontier(tmp_path: Path) -> None:
    text = """\
seeds: [1, 2]
arms:
  dense:
  half: {arm: averaged, method: averaged, set: {baselines.averaged.of: dense, baselines.averaged.base: 0.5}}
  neurons: {arm: specialized, set: {specialization.semantics: gradient, specialization.trainable: neurons}}
"""
    path = write_sweep(tmp_path, SMALL + "  continuation.directions: [en-de]\n" + text)
    done = sweep(path, "--out", tmp_path / "out", "--processes", 2, "--tables", tmp_path / "tables")
    assert done.returncode == 0, done.stdout + done.stderr
    found = results(tmp_path / "out")
    assert found["adapted"] == ["en-de"] and found["entries"]["half"]["method"] == "averaged"
    dense, base = found["entries"]["dense"], found["arms"]["base"]
    for direction in ("en-de", "de-en"):
        cells = [
            json.loads((tmp_path / f"out/cells/dense/seed-{seed}/evaluation/dense/scores.json").read_text())["scores"]
            for seed in (1, 2)
        ]
        expected = [cell[direction]["chrf++"] - base[direction]["chrf++"] for cell in cells]
        assert dense["over_base"]["chrf++"][direction] == pytest.approx(expected)
        fell = [base[direction]["loss"] - cell[direction]["loss"] for cell in cells]
        assert dense["over_base"]["loss"][direction] == pytest.approx(fell)
    assert dense["means"]["adapted"]["chrf++"]["values"] and dense["means"]["others"]["chrf++"]["values"]
    assert all(f"gain at equal forgetting, in {unit}" in done.stdout for unit in ("chrF++", "nats per token"))
    assert "averaged" in done.stdout
    assert (tmp_path / "tables" / "frontier.md").read_text().count("neurons") == 1
    assert (tmp_path / "out" / "frontier.svg").read_text().startswith("<?xml")
    assert not list((tmp_path / "out" / "shared").glob("specialize-*"))  # dense is trained in its cell alone
