"""What the cells of a sweep share."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuronspec.errors import RunError
from neuronspec.sweep import Sweep
from neuronspec.sweep.nodes import Node, link, nodes_of
from toy_sweep import write_sweep


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


def test_nodes_come_after_what_they_need(tmp_path: Path) -> None:
    seen: set[Path] = set()
    for node in nodes(tmp_path, "arms: {dense: , specialized: }\n"):
        assert node.needs <= seen
        seen.add(node.folder)


def test_a_link_does_not_replace_a_file(tmp_path: Path) -> None:
    node = next(node for node in nodes(tmp_path, "arms: {dense: }\n") if node.tasks == ("train",))
    (node.folder / "data").mkdir(parents=True)
    (node.folder / "recipe.yaml").write_text("")
    with pytest.raises(RunError, match="move it away"):
        link(node)
