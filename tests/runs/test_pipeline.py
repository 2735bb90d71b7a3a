"""Which tasks run, and why: with stages that only touch files."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from neuronspec.core import checksums
from neuronspec.core.errors import MissingExtraError, RecipeError, RunError
from neuronspec.recipe import Recipe
from neuronspec.runs import pipeline as pipeline_module
from neuronspec.runs import stages
from neuronspec.runs.pipeline import Pipeline
from neuronspec.runs.tasks import Task

RECIPE = {
    "name": "trial",
    "corpus": {"train": {"reader": "catalogs"}, "languages": ["de"]},
    "training": {"updates": 10},
    "continuation": {"updates": 5},
}


def recipe_with(**changes: object) -> Recipe:
    return Recipe.model_validate(RECIPE | changes)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the work of every stage by making its outputs; the list says what ran."""
    names: list[str] = []
    original = pipeline_module.tasks_of

    def fake_tasks(recipe: Recipe, known: Mapping[str, Any] | None = None) -> list[Task]:
        return [
            Task(task.name, task.needs, task.settings, task.outputs, worker(task)) for task in original(recipe, known)
        ]

    def worker(task: Task) -> Callable[[stages.Run], None]:
        def work(run: stages.Run) -> None:
            names.append(task.name)
            for output in task.outputs:
                path = run.paths.folder / output
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(task.settings))

        return work

    monkeypatch.setattr(pipeline_module, "tasks_of", fake_tasks)
    return names


def execute(folder: Path, recipe: Recipe, stage: str | None = None) -> None:
    Pipeline(recipe, folder).execute(stage)


ALL = [
    "prepare", "train", "record", "select",
    "specialize/specialized", "specialize/dense", "specialize/random",
    "evaluate/copy", "evaluate/base", "evaluate/specialized", "evaluate/dense", "evaluate/random", "evaluate",
    "analyse", "report",
]  # fmt: skip


ADAPTED = [
    name for name in ALL[ALL.index("specialize/specialized") :] if name not in ("evaluate/copy", "evaluate/base")
]


def test_everything_runs_once_in_order(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path / "run", recipe_with())
    assert ran == ALL
    ran.clear()
    execute(tmp_path / "run", recipe_with())
    assert ran == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"continuation": {"updates": 5, "directions": ["en-de"]}}, ADAPTED),
        ({"continuation": {"updates": 9, "directions": ["en-de"]}}, ADAPTED),
        ({"evaluation": {"beam": 1}}, [*[n for n in ALL if n.startswith("evaluate")], "report"]),
        (
            {"selection": {"coverage": 0.5}},
            [
                "select",
                "specialize/specialized",
                "specialize/random",
                "evaluate/specialized",
                "evaluate/random",
                "evaluate",
                "analyse",
                "report",
            ],
        ),
        ({"report": {"samples": 9}}, ["report"]),
        ({"training": {"updates": 11}}, [n for n in ALL if n not in ("prepare", "evaluate/copy")]),
        ({"seed": 2}, ALL),
    ],
)
def test_a_changed_recipe_reruns_just_what_it_affects(
    tmp_path: Path, ran: list[str], changes: dict[str, object], expected: list[str]
) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    execute(tmp_path, recipe_with(**changes))
    assert ran == expected
    ran.clear()
    execute(tmp_path, recipe_with(**changes))
    assert ran == []


def test_the_reason_names_the_changed_key(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    later = Pipeline(recipe_with(selection={"coverage": 0.5}), tmp_path)
    reasons = {task.name: reason for task, reason in later.plan()}
    assert reasons["select"] == "changed: selection.coverage 0.95 -> 0.5"
    assert reasons["specialize/specialized"] == "train or select changed"
    assert reasons["train"] is None


def test_the_reason_speaks_of_the_corpus_as_recipes_write_it_today(tmp_path: Path, ran: list[str]) -> None:
    def corpus(**source: object) -> dict[str, object]:
        return {"corpus": {"train": {"reader": "catalogs"} | source, "languages": ["de"]}}

    execute(tmp_path, recipe_with(**corpus(max_characters=200)))
    later = Pipeline(recipe_with(**corpus(max_characters=100, packages=["wagtail"])), tmp_path)
    reasons = {task.name: reason for task, reason in later.plan()}
    assert reasons["prepare"] is not None
    assert "corpus.train.max_characters 200 -> 100" in reasons["prepare"]
    later = Pipeline(recipe_with(training={"updates": 10, "patience": 3}), tmp_path)
    assert "training.patience not set -> 3" in str(later.stale(later.tasks["train"]))


def test_a_missing_package_is_told_before_anything_changes(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(tmp_path, recipe_with())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    changed = recipe_with(training={"updates": 10, "optimizer": "adamw_8bit"})
    with pytest.raises(MissingExtraError, match="needs the package 'bitsandbytes'"):
        execute(tmp_path, changed)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    execute(tmp_path, changed, "prepare")  # which doesn't need it


def test_outputs_of_other_settings_are_set_aside_not_lost(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    before = (tmp_path / "base").read_text()
    execute(tmp_path, recipe_with(training={"updates": 10, "warmup": 99}))
    assert (tmp_path / "superseded" / "base").read_text() == before
    assert (tmp_path / "base").read_text() != before


def test_a_link_that_was_set_aside_gives_way_and_its_target_stays(tmp_path: Path, ran: list[str]) -> None:
    run, disk = tmp_path / "run", tmp_path / "disk"
    disk.mkdir()
    for warmup in (1, 2, 3):
        execute(run, recipe_with(training={"updates": 10, "warmup": warmup}))
        (run / "base").unlink()
        (run / "base").symlink_to(disk)
    assert (run / "superseded" / "base").is_symlink() and disk.is_dir()


def test_what_a_failed_task_would_have_replaced_comes_back(
    tmp_path: Path, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    execute(tmp_path, recipe_with())
    before = (tmp_path / "report").read_text()
    changed = Pipeline(recipe_with(report={"samples": 9}), tmp_path)

    def fail(run: stages.Run) -> None:
        raise RunError("injected")

    changed.tasks["report"] = dataclasses.replace(changed.tasks["report"], work=fail)
    with pytest.raises(RunError, match="injected"), caplog.at_level(logging.INFO, "neuronspec"):
        changed.execute()
    assert (tmp_path / "report").read_text() == before
    moved, back = caplog.messages[-2:]
    assert moved.endswith(f"it is now {tmp_path / 'superseded' / 'report'}")
    assert back == f"{tmp_path / 'report'} is back: report stopped before it made another"
    ran.clear()
    execute(tmp_path, recipe_with())
    assert ran == []


@pytest.mark.parametrize(
    ("training", "goes_on"),
    [
        ({"updates": 99}, True),
        ({"updates": 10, "keep_checkpoints": 5, "patience": 3}, True),
        ({"updates": 9}, False),
        ({"epochs": 1.0}, False),
        ({"updates": 99, "learning_rate": 1e-3}, False),
    ],
)
def test_a_larger_budget_goes_on_from_the_checkpoints(
    tmp_path: Path, ran: list[str], training: dict[str, object], goes_on: bool
) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    execute(tmp_path, recipe_with(training=training))
    assert "train" in ran and "specialize/dense" in ran
    assert (tmp_path / "superseded" / "base").exists() != goes_on
    assert (tmp_path / "superseded" / "arms" / "dense").exists(), "it continues from another base"


def flip(path: Path) -> None:
    """Change a bit of a file's last byte; its size and times stay as they were."""
    state, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def forget_files(folder: Path) -> None:
    """Make the run one of version 0.1, which recorded no files."""
    content = json.loads((folder / "stages.json").read_text())
    for entry in content["tasks"].values():
        del entry["files"], entry["inputs"]
    (folder / "stages.json").write_text(json.dumps(content))


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize("task", ALL)
def test_a_damaged_output_is_made_again_and_nothing_follows_if_it_comes_out_the_same(
    tmp_path: Path, ran: list[str], task: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    pipeline = Pipeline(recipe_with(), tmp_path)
    output = tmp_path / pipeline.tasks[task].outputs[0]
    before = output.read_bytes()
    damage(output)
    caplog.clear()
    caplog.set_level("INFO", "neuronspec")
    pipeline.execute()
    assert ran == [task]
    assert output.read_bytes() == before
    says = [line for line in caplog.messages if line.startswith(f"{task}: starts")]
    assert len(says) == 1 and pipeline.tasks[task].outputs[0] in says[0]


def test_what_depends_on_a_damaged_output_follows_if_it_comes_out_otherwise(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    flip(tmp_path / "masks.safetensors")
    again = Pipeline(recipe_with(), tmp_path)
    again.tasks["select"] = dataclasses.replace(again.tasks["select"], work=write_other_masks)
    again.execute("select")
    execute(tmp_path, recipe_with())  # another process: it knows from stages.json what each was made from
    assert ran == ["specialize/specialized", "specialize/random", "analyse"], "the arms came out as they were"
    ran.clear()
    execute(tmp_path, recipe_with())
    assert ran == []


def write_other_masks(run: stages.Run) -> None:
    run.paths.masks.write_text("other")


def test_single_stages_name_what_is_damaged_and_what_to_run(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    flip(tmp_path / "base")
    with pytest.raises(RunError, match="record needs train.*base is damaged.*neuronspec train"):
        execute(tmp_path, recipe_with(), "record")
    ran.clear()
    execute(tmp_path, recipe_with(), "train")
    assert ran == ["train"]
    execute(tmp_path, recipe_with(), "record")


def test_without_verification_damage_is_not_seen(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    flip(tmp_path / "base")
    monkeypatch.setenv(checksums.NO_VERIFY, "1")
    execute(tmp_path, recipe_with())
    assert ran == []


def test_scores_that_are_written_again_are_no_damage(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`evaluate` adds scores to the folders of the arms; whether it is stopped or not, they aren't translated again."""

    def translate(run: stages.Run) -> None:
        folder = run.paths.evaluation("dense")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "en-de.hyp").write_text("eins\n")
        (folder / "scores.json").write_text("{}")

    def score(run: stages.Run) -> None:
        (run.paths.evaluation("dense") / "scores.json").write_text('{"scored": 1}')
        if stop:
            raise KeyboardInterrupt
        run.paths.results.write_text("{}")

    def attempt() -> None:
        pipeline = Pipeline(recipe_with(), tmp_path)
        for name, work in (("evaluate/dense", translate), ("evaluate", score)):
            pipeline.tasks[name] = dataclasses.replace(pipeline.tasks[name], work=work)
        pipeline.execute()

    stop = True
    with pytest.raises(KeyboardInterrupt):
        attempt()
    stop = False
    ran.clear()
    attempt()
    assert ran == ["analyse", "report"]
    ran.clear()
    attempt()
    assert ran == []
    flip(tmp_path / "evaluation" / "dense" / "scores.json")
    assert Pipeline(recipe_with(), tmp_path).stale(Pipeline(recipe_with(), tmp_path).tasks["evaluate/dense"])


def test_a_deleted_output_of_an_old_run_is_made_again_with_what_follows(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    ran.clear()
    forget_files(tmp_path)
    execute(tmp_path, recipe_with())
    assert ran == []
    (tmp_path / "masks.safetensors").unlink()
    execute(tmp_path, recipe_with())
    assert ran[0] == "select" and "specialize/specialized" in ran and "specialize/dense" not in ran


def test_an_interrupted_task_runs_again_and_keeps_its_folder(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(tmp_path, recipe_with())
    state = json.loads((tmp_path / "stages.json").read_text())
    state["tasks"]["specialize/dense"]["state"] = "started"
    (tmp_path / "stages.json").write_text(json.dumps(state))
    ran.clear()
    execute(tmp_path, recipe_with())
    assert ran == ["specialize/dense"], "it came out as it was"
    assert not (tmp_path / "superseded").exists()


def test_one_stage_alone_needs_the_stages_before(tmp_path: Path, ran: list[str]) -> None:
    with pytest.raises(RunError, match="needs train, which is not up to date"):
        execute(tmp_path, recipe_with(), "record")
    execute(tmp_path, recipe_with(), "prepare")
    execute(tmp_path, recipe_with(), "train")
    execute(tmp_path, recipe_with(), "record")
    assert ran == ["prepare", "train", "record"]
    with pytest.raises(RecipeError, match="did you mean 'select'"):
        execute(tmp_path, recipe_with(), "selct")


def test_a_run_is_of_use_without_the_text_that_it_was_made_of(
    tmp_path: Path, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    names = ("train", "valid", "test")
    tables = {name: tmp_path / f"{name}.tsv" for name in names}
    recipe = recipe_with(
        corpus={"languages": ["de"]} | {name: {"reader": "tsv", "path": str(path)} for name, path in tables.items()}
    )

    def write() -> None:
        for path in tables.values():
            path.write_text("en\tde\na\tb\n")

    write()
    execute(tmp_path / "run", recipe)
    ran.clear()
    os.utime(tables["test"], ns=(1, 1))
    tables["train"].unlink()  # a part of it alone is a change
    told = f"changed: text {tables['test']} changed, text {tables['train']} is missing"
    assert Pipeline(recipe, tmp_path / "run").plan("prepare")[0][1] == told
    for name in names:
        tables[name].unlink(missing_ok=True)
    with caplog.at_level("INFO", "neuronspec"):
        execute(tmp_path / "run", recipe)
    assert ran == []
    assert f"{tables['valid']}, {tables['test']}) isn't there any more; it is taken to be as it was" in caplog.text
    (tmp_path / "run" / "data").unlink()  # then it is needed, and all else stays
    assert [task.name for task, reason in Pipeline(recipe, tmp_path / "run").plan("prepare") if reason] == ["prepare"]
    write()
    assert "changed: text " in str(Pipeline(recipe, tmp_path / "run").plan("prepare")[0][1])


def test_a_run_of_another_recipe_is_refused(tmp_path: Path, ran: list[str]) -> None:
    execute(tmp_path, recipe_with())
    before = (tmp_path / "stages.json").read_bytes()
    with pytest.raises(RunError, match="made by another recipe: 'trial', not 'other'"):
        execute(tmp_path, recipe_with(name="other"))
    assert (tmp_path / "stages.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path, ran: list[str]) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="not a run folder and not empty"):
        execute(tmp_path, recipe_with())
    (tmp_path / "stages.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        execute(tmp_path, recipe_with())


def test_two_processes_cannot_share_a_run(tmp_path: Path, ran: list[str]) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(RunError, match="in use by another"):
        execute(tmp_path, recipe_with())
    assert ran == []


def test_copies_of_their_own_start_anew_with_a_larger_budget(tmp_path: Path, ran: list[str]) -> None:
    """Each copy's warm-up depends on its part of the budget, so its checkpoints can't be gone on from."""
    arms = ["specialized", "dense", "random", "finetune"]
    execute(tmp_path, recipe_with(arms=arms))
    execute(tmp_path, recipe_with(arms=arms, continuation={"updates": 50}))
    aside = tmp_path / "superseded" / "arms"
    assert (aside / "finetune").exists() and not (aside / "dense").exists()
