"""What is known of a sweep before the long work: what its nodes lack, and that what was used up may be gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.families import build_family
from tests.helpers.mutations import neuronspec
from tests.helpers.toy_sweep import write_sweep

from neuronspec.core.errors import RecipeError, RunError
from neuronspec.core.files import write_json
from neuronspec.models.footprint import Room
from neuronspec.recipe import Recipe
from neuronspec.runs import footprint
from neuronspec.runs.pipeline import Pipeline
from neuronspec.sweep.checks import check_nodes, open_sweep, warn_of_nodes
from neuronspec.sweep.nodes import OWNER, link
from neuronspec.sweep.settings import Sweep

ENTRIES = "arms: {dense: , other: {arm: dense, set: {training.warmup: 11}}}\n"


def finish(pipeline: Pipeline, *names: str) -> None:
    """Make the tasks of a run look finished."""
    for name in names:
        task = pipeline.tasks[name]
        for output in task.outputs:
            (pipeline.run.paths.folder / output).mkdir(parents=True, exist_ok=True)
        entry = {"fingerprint": pipeline.fingerprint(task), "settings": task.settings, "state": "finished"}
        pipeline.remember(task, entry)  # type: ignore[arg-type]


def made_run(path: Path, run: Path, *names: str) -> None:
    """A run of the sweep's recipe, so far."""
    pipeline = Pipeline(Sweep.load(path).recipes()[0][1], run)
    finish(pipeline, *names)
    pipeline.run.paths.recipe.write_text(pipeline.recipe.to_yaml(), encoding="utf-8")


def checkpoint(folder: Path) -> str:
    build_family("m2m100").save_pretrained(folder)
    return f"set: {{model: {{pretrained: {folder.name}/sub/..}}, tokenizer: {{}}}}\n"


@pytest.mark.parametrize("gone", ["text", "text and checkpoint", "text and tokenizer"])
def test_a_base_is_of_use_without_what_it_was_made_of(tmp_path: Path, gone: str) -> None:
    run, extra, files = tmp_path / "run", "", ["table.tsv"]
    if gone == "text and checkpoint":
        extra, files = checkpoint(tmp_path / "start"), [*files, "start"]
        (tmp_path / "start" / "sub").mkdir()
    elif gone == "text and tokenizer":
        (tmp_path / "spm.model").write_bytes(b"a tokenizer")
        extra, files = "set: {tokenizer: {path: spm.model}}\n", [*files, "spm.model"]
    path = write_sweep(tmp_path, extra + ENTRIES)
    made_run(path, run, "prepare", "train")
    for name in files:
        place = tmp_path / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(RecipeError, match=r"no such file"):
        open_sweep(path, None, tmp_path / "out", None)
    nodes = open_sweep(path, None, tmp_path / "out", run).nodes
    tasks = [task for node in nodes for task in node.tasks]
    assert "prepare" not in tasks and tasks.count("train") == 1, "that of the entry which changes it"
    (cell,) = (node for node in nodes if node.name == "dense/seed-1")
    assert {cell.linked["prepare"], cell.linked["train"]} == {run}
    link(cell)
    again = Pipeline(Recipe.of_run(cell.folder), cell.folder)  # as a worker reads it
    assert all(again.stale(again.tasks[name]) is None for name in ("prepare", "train"))
    other = ["corpus.cleaning.max_tokens=9"]
    with pytest.raises(RecipeError, match=r"no such file"):
        open_sweep(path, other, tmp_path / "other", run)


def test_the_plan_of_a_sweep_does_without_the_text_of_its_base(tmp_path: Path) -> None:
    path, run = write_sweep(tmp_path, "arms: {dense: }\n"), tmp_path / "run"
    made_run(path, run, "prepare", "train")
    (tmp_path / "table.tsv").unlink()
    arguments = ("sweep", path, "--out", tmp_path / "out", "--dry-run")
    refused = neuronspec(*arguments, folder=tmp_path)
    assert refused.code == 2 and "no such file" in refused.err
    planned = neuronspec(*arguments, "--base", run, folder=tmp_path)
    assert planned.code == 0 and "dense/seed-1: to do" in planned.out and "prepare" not in planned.out, planned.err


def test_what_an_entry_cannot_do_is_told_before_the_shared_work(tmp_path: Path, absent: Any) -> None:
    path = write_sweep(
        tmp_path,
        "seeds: [1, 2]\narms:\n  dense:\n  lora:\n  low: {arm: lora, set: {baselines.lora.rank: 2}}\n"
        "  compiled: {arm: dense, set: {continuation.compile: true}}\n",
    )
    absent("peft")
    nodes = open_sweep(path, None, tmp_path / "out", None).nodes
    with pytest.raises(RunError, match="^entries lora, low: .*'peft'.*\nentry compiled: continuation.compile is true"):
        check_nodes(nodes, here=True)
    check_nodes(nodes, here=False)  # another machine may have it
    outcome = neuronspec("sweep", path, "--out", tmp_path / "out", folder=tmp_path)
    assert outcome.code == 1 and "entries lora, low" in outcome.err and not (tmp_path / "out").exists()


def test_a_dry_run_warns_of_what_validate_warns_of(
    tmp_path: Path, absent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_sweep(
        tmp_path,
        "seeds: [1, 2]\narms:\n  dense:\n  lora:\n  low: {arm: lora, set: {baselines.lora.rank: 2}}\n"
        "  compiled: {arm: dense, set: {continuation.compile: true}}\n",
    )
    absent("peft")
    planned = neuronspec("sweep", path, "--out", tmp_path / "out", "--dry-run", folder=tmp_path)
    assert planned.code == 0 and "low/seed-2: to do" in planned.out
    peft, compiled = planned.err.splitlines()
    assert peft.startswith("warning: lora/seed-1 (and 3 more): a run on this machine would stop: the arm 'lora' needs")
    assert compiled.startswith(
        "warning: compiled/seed-1 (and 1 more): a run on this machine would stop: continuation.c"
    )
    nodes = open_sweep(path, None, tmp_path / "out", None).nodes
    warn_of_nodes(nodes, here=False)
    assert caplog.text == "", "another machine may have all"
    for node in nodes:
        if node.cell is None or node.cell.arm == "lora":
            finish(node.pipeline(), *node.linked, *node.tasks)
    write_json(tmp_path / "out" / OWNER, {"sweep": "toy"})
    left = neuronspec("sweep", path, "--out", tmp_path / "out", "--dry-run", folder=tmp_path)
    assert left.err.splitlines() == [compiled], "the rest is done"


def test_a_model_that_is_too_large_is_told_with_its_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "room", lambda: Room("the machine", 1000, 1000))
    nodes = open_sweep(write_sweep(tmp_path, "arms: {dense: }\n"), None, tmp_path / "out", None).nodes
    with pytest.raises(
        RecipeError, match=r"^entry dense: 1 mistake.*\n  \S+toy.yaml:\d+: training needs .* too little"
    ):
        warn_of_nodes(nodes, here=True)


@pytest.mark.parametrize("here", [True, False])
def test_an_entry_whose_neurons_cannot_be_selected(tmp_path: Path, here: bool) -> None:
    text = """\
set: {corpus.directions: out}
arms:
  dense:
  lape: {arm: specialized, set: {selection.criterion: lape, selection.granularity: language}}
"""
    nodes = open_sweep(write_sweep(tmp_path, text), None, tmp_path / "out", None).nodes
    with pytest.raises(
        RecipeError, match=r"^entry lape: 1 mistake.*\n  \S+sweep.yaml:6: selection: LAPE needs two groups"
    ):
        check_nodes(nodes, here)


def test_what_is_done_needs_nothing(tmp_path: Path, absent: Any) -> None:
    nodes = open_sweep(write_sweep(tmp_path, "arms: {dense: , lora: }\n"), None, tmp_path / "out", None).nodes
    for node in nodes:
        finish(node.pipeline(), *node.linked, *node.tasks)
    absent("peft")
    assert all(node.done() for node in nodes)
    check_nodes(nodes, here=True)
