"""What the cells of a sweep share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.toy_sweep import write_sweep

from neuronspec.core.errors import EvaluationError, RunError
from neuronspec.core.files import write_json
from neuronspec.runs.pipeline import Pipeline
from neuronspec.sweep.cell_results import sentences_compared
from neuronspec.sweep.differences import Found
from neuronspec.sweep.nodes import Node, base_of, link, nodes_of
from neuronspec.sweep.settings import Sweep


def nodes(folder: Path, text: str) -> list[Node]:
    return nodes_of(Sweep.load(write_sweep(folder, text)), folder / "out")


def shared(found: list[Node]) -> list[str]:
    return sorted(node.folder.name.rpartition("-")[0] for node in found if node.cell is None)


def test_what_does_not_differ_is_there_once(tmp_path: Path) -> None:
    found = nodes(tmp_path, "seeds: [1, 2, 3]\narms: {dense: , random: , specialized: }\n")
    assert shared(found) == ["evaluate-base", "evaluate-copy", "prepare", "record", "select", "train"]
    cells = [node for node in found if node.cell]
    assert len(cells) == 9
    assert all(
        node.tasks == (f"specialize/{node.cell.arm}", f"evaluate/{node.cell.arm}") for node in cells if node.cell
    )
    assert "select" not in next(node for node in cells if node.name == "dense/seed-1").linked


def test_what_differs_is_there_as_often(tmp_path: Path) -> None:
    text = """\
arms:
  dense:
  k70: {arm: specialized, set: {selection.coverage: 0.7}}
  k90: {arm: specialized, set: {selection.coverage: 0.9}}
  other-base: {arm: specialized, set: {training.temperature: 1}}
"""
    names = shared(nodes(tmp_path, text))
    assert {name: names.count(name) for name in names} == {
        "prepare": 1, "train": 2, "record": 2, "select": 3, "evaluate-base": 2, "evaluate-copy": 1
    }  # fmt: skip


def test_base_seeds_have_a_baseline_each(tmp_path: Path) -> None:
    found = nodes(tmp_path, "base_seeds: [1, 2]\nseeds: [1, 2]\narms: {dense: , specialized: }\n")
    names = shared(found)
    assert {name: names.count(name) for name in names} == {
        "prepare": 1, "train": 2, "record": 2, "select": 2, "evaluate-base": 2, "evaluate-copy": 1
    }  # fmt: skip
    cells = {node.name: node for node in found if node.cell}
    assert len(cells) == 8
    assert cells["dense/base-1/seed-1"].folder == tmp_path / "out" / "cells" / "dense" / "base-1" / "seed-1"
    one, other = (cells[f"dense/base-{base}/seed-1"].linked for base in (1, 2))
    assert one["prepare"] == other["prepare"] and one["train"] != other["train"]
    assert one["train"] == cells["specialized/base-1/seed-2"].linked["train"]


def test_nodes_come_after_what_they_need(tmp_path: Path) -> None:
    seen: set[Path] = set()
    for node in nodes(tmp_path, "arms: {dense: , specialized: }\n"):
        assert node.needs <= seen
        seen.add(node.folder)


def test_an_arm_that_is_an_entry_is_not_trained_again_for_its_mean(tmp_path: Path) -> None:
    text = """\
seeds: [1, 2]
arms:
  averaged-30: {arm: averaged, set: {baselines.averaged.base: 0.3}}
  dense:
  alone: {arm: averaged, set: {baselines.averaged.of: random}}
settings:
  slow: {continuation.learning_rate: 1e-4}
  fast: {continuation.learning_rate: 1e-3}
"""
    found = nodes(tmp_path, text)
    cells = {node.name: node for node in found if node.cell}
    for setting in ("slow", "fast"):
        for seed in (1, 2):
            mean = cells[f"averaged-30+{setting}/seed-{seed}"]
            assert mean.linked["specialize/dense"] == cells[f"dense+{setting}/seed-{seed}"].folder
    names = shared(found)  # no entry trains random
    assert names.count("specialize-random") == 4 and "specialize-dense" not in names
    seen: set[Path] = set()
    for node in found:
        assert node.needs <= seen, node.name
        seen.add(node.folder)


def test_a_link_does_not_replace_a_file(tmp_path: Path) -> None:
    node = next(node for node in nodes(tmp_path, "arms: {dense: }\n") if node.tasks == ("train",))
    (node.folder / "data").mkdir(parents=True)
    (node.folder / "recipe.yaml").write_text("")
    with pytest.raises(RunError, match="move it away"):
        link(node)


def test_a_run_of_the_recipe_gives_its_baseline(tmp_path: Path) -> None:
    """Of a run whose tasks are finished, nothing is done again; a baseline of other settings is refused."""
    run = tmp_path / "run"
    sweep = Sweep.load(write_sweep(tmp_path, "arms: {dense: , specialized: }\n"))
    pipeline = Pipeline(sweep.recipes()[0][1], run)
    for name in ("prepare", "train", "record"):
        task = pipeline.tasks[name]
        for output in task.outputs:
            (run / output).mkdir(parents=True)
        pipeline.remember(
            task, {"fingerprint": pipeline.fingerprint(task), "settings": task.settings, "state": "finished"}
        )
    found = nodes_of(sweep, tmp_path / "out", run)
    assert shared([node for node in found if node.folder != run]) == ["evaluate-base", "evaluate-copy", "select"]
    cell = next(node for node in found if node.name == "specialized/seed-1")
    assert {cell.linked[name] for name in ("prepare", "train", "record")} == {run}
    assert next(node for node in found if node.folder == run).tasks == ()
    task = pipeline.tasks["evaluate/base"]
    (run / "evaluation" / "base").mkdir(parents=True)
    pipeline.remember(task, {"fingerprint": pipeline.fingerprint(task), "settings": task.settings, "state": "finished"})
    again = nodes_of(sweep, tmp_path / "out", run)
    assert next(node for node in again if node.folder == run).tasks == ("evaluate/base",), "its scores are used"
    assert "evaluate-base" not in shared([node for node in again if node.folder != run])
    assert next(node for node in again if node.given).folder == run
    (run / "evaluation" / "base").rmdir()
    missing = nodes_of(sweep, tmp_path / "out", run)
    assert next(node for node in missing if node.given).done(), "nothing is made again in the run itself"
    assert "evaluate-base" in shared([node for node in missing if node.folder != run])
    with pytest.raises(RunError, match="has changed since the sweep looked"):
        link(next(node for node in missing if node.given))
    other = Sweep.load(tmp_path / "sweep.yaml", ["training.updates=7"])
    with pytest.raises(RunError, match=r"training.updates.*leave --base out"):
        nodes_of(other, tmp_path / "out", run)


def test_the_sentences_compared_are_those_of_the_sweep(tmp_path: Path) -> None:
    """The run of a baseline has other arms, which were scored on more sentences."""
    sweep, run = Sweep.load(write_sweep(tmp_path, "arms: {dense: }\n")), tmp_path / "run"
    found = nodes_of(sweep, tmp_path / "out")
    base = next(node for node in found if "evaluate/base" in node.tasks)
    base = replace(base, folder=run)
    dense = next(node for node in found if node.cell)
    for folder, lines in ((run, {"adense": 9, "base": 4}), (dense.folder, {"dense": 4})):
        for arm, number in lines.items():
            place = folder / "evaluation" / arm
            place.mkdir(parents=True)
            for part in ("src", "ref"):
                text = "".join(f"{part} {row}\n" for row in range(number))
                (place / f"en-de.{part}").write_text(text, encoding="utf-8")
    compared = {"base": Found(nodes={(0, 0): base}), "dense": Found(nodes={(0, 1): dense})}
    assert len(sentences_compared(compared, ["en-de"])["en-de"]) == 4


def test_other_sentences_are_not_compared(tmp_path: Path) -> None:
    found = [node for node in nodes(tmp_path, "arms: {dense: , random: }\n") if node.cell]
    for node, text in zip(found, ("one\n", "two\n"), strict=True):
        place = node.folder / "evaluation" / node.name.partition("/")[0]
        place.mkdir(parents=True)
        for part in ("src", "ref"):
            (place / f"en-de.{part}").write_text(text, encoding="utf-8")
    compared = {node.name: Found(nodes={(0, 1): node}) for node in found}
    with pytest.raises(EvaluationError, match=r"dense/en-de\.ref and .*random/en-de\.ref are different test sentences"):
        sentences_compared(compared, ["en-de"])


def test_the_folder_remembers_where_it_began(tmp_path: Path) -> None:
    path, out = write_sweep(tmp_path, "arms: {dense: }\n"), tmp_path / "out"
    sweep, run, other = Sweep.load(path), tmp_path / "run", tmp_path / "other"
    for folder in (run, other):
        folder.mkdir()
        (folder / "recipe.yaml").touch()
    assert base_of(out, sweep, run) == run
    write_json(out / "sweep.json", {"sweep": "toy", "base": str(run)})
    assert base_of(out, sweep, None) == run
    with pytest.raises(RunError, match="began from"):
        base_of(out, sweep, other)
    with pytest.raises(RunError, match="not a run folder"):
        base_of(out, sweep, tmp_path / "nowhere")
    (run / "recipe.yaml").unlink()
    with pytest.raises(RunError, match=r"began from the run .*run, which isn't there.*sweep\.json"):
        base_of(out, sweep, None)
    with pytest.raises(RunError, match="which isn't there"):
        base_of(out, sweep, other)
