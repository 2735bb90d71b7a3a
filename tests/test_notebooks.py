"""The notebooks of `examples/` run, and show on a forge what they do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers.pages import tool

nbformat = pytest.importorskip("nbformat", reason="the test extra is not installed")
EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
KINDS = {"execute_result", "display_data", "stream"}


@pytest.fixture
def notebooks() -> ModuleType:
    pytest.importorskip("nbclient", reason="the test extra is not installed")
    pytest.importorskip("ipykernel", reason="the test extra is not installed")
    for name in ("django", "polib", "matplotlib"):
        pytest.importorskip(name, reason="the extras catalogs and report are not installed")
    return tool("run_notebooks")


def kinds(notebook: object) -> list[list[str]]:
    """What kinds of outputs each cell has; how the lines of a stream are cut is chance."""
    return [
        list(dict.fromkeys(output.output_type for output in cell.get("outputs", [])))
        for cell in notebook.cells  # type: ignore[attr-defined]
    ]


@each_notebook
def test_a_notebook_is_committed_with_what_it_shows(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert path.stat().st_size < 150_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "make notebooks"
    assert {kind for found in kinds(notebook) for kind in found} <= KINDS, "no errors"
    assert notebook.cells[0].source.startswith("# ") and "nllb-200" in notebook.cells[0].source
    *_, figure, sentence = (cell for cell in code if cell.outputs)
    assert "image/png" in figure.outputs[0].data
    assert re.fullmatch(r"[A-Z][^\n]{100,600}\.\n", sentence.outputs[0].text), "ends in a sentence"
    assert "Read this with care" in notebook.cells[-2].source
    text = shown(code)
    assert not re.search(r"/(?:home|root|tmp|Users|work)/", text), "no paths of a machine"
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)


def shown(cells: Iterable[Any]) -> str:
    """The text of the outputs."""
    outputs = [output for cell in cells for output in cell.outputs]
    return "\n".join(output.get("text", "") + str({**output.get("data", {}), "image/png": ""}) for output in outputs)


@pytest.mark.cli
def test_a_notebook_runs_in_small(notebooks: ModuleType) -> None:
    """With less training; `test_notebooks_run` runs all as they are."""
    executed = notebooks.executed(EXAMPLES / "adaptation_frontier.ipynb", UPDATES="2", STEPS="1", SEEDS="[1]")
    assert kinds(executed) == kinds(nbformat.read(EXAMPLES / "adaptation_frontier.ipynb", as_version=4))
    assert "UPDATES = 2\n" in next(cell.source for cell in executed.cells if cell.cell_type == "code") + "\n"


@pytest.mark.slow
@each_notebook
def test_notebooks_run(path: Path, notebooks: ModuleType) -> None:
    committed, executed = nbformat.read(path, as_version=4), notebooks.executed(path)
    assert [cell.source for cell in executed.cells] == [cell.source for cell in committed.cells]
    assert kinds(executed) == kinds(committed), "make notebooks"
