"""Commands that only look at a recipe answer without importing torch, which takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.helpers.synthetic import write_recipe
from tests.helpers.toy_sweep import write_sweep
from typer.main import get_command
from typer.testing import CliRunner

import neuronspec
from neuronspec.cli.app import app
from neuronspec.core.errors import NeuronspecError
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import STAGES
from neuronspec.sweep.settings import Sweep

WITHOUT_TORCH = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "datasets", "pyarrow", "ctranslate2"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refused())
from neuronspec.cli.app import main

main()
"""


def without_torch(*arguments: object) -> str:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("command", [[], ["run"], ["sweep"], ["evaluate"], ["analyse"], ["translate"], ["serve"]])
def test_help(command: list[str]) -> None:
    assert "Usage:" in without_torch(*command, "--help")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["run", "FILE", "--out", "OUT"], "recipe"),
        (["validate", "FILE"], "recipe"),
        (["sweep", "FILE", "--out", "OUT"], "sweep"),
        (["train", "FILE"], "not a run folder"),
        (["compare", "FILE", "OUT"], "not a run folder"),
        (["inspect", "FILE"], "no such file or folder"),
        (["report", "FILE"], "holds neither a run"),
        (["compact", "FILE", "en-de", "--out", "OUT"], "is no folder"),
        (["export", "FILE", "--out", "OUT"], "is no folder"),
        (["serve", "FILE"], "is no folder"),
        (["translate", "OUT", "FILE", "--from", "en", "--to", "de"], "absent can't be read: No such file"),  # no model
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_path_that_is_not_there_is_misuse(tmp_path: Path, command: list[str], kind: str) -> None:
    places = {"FILE": str(tmp_path / "absent"), "OUT": str(tmp_path / "out")}
    result = CliRunner().invoke(app, [places.get(word, word) for word in command])
    assert isinstance(result.exception, NeuronspecError)
    assert result.exception.exit_code == 2
    assert kind in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_stage_names_all_stages() -> None:
    (option,) = (option for option in get_command(app).commands["run"].params if option.name == "stage")
    assert option.help == f"Only this stage: {', '.join(STAGES[:-1])} or {STAGES[-1]}."
    assert set(STAGES) <= get_command(app).commands.keys() | {"analyse"}


def test_version() -> None:
    assert without_torch("--version") == f"neuronspec {neuronspec.__version__}\n"


def test_validate(tmp_path: Path) -> None:
    assert ": valid; 6 directions" in without_torch("validate", write_recipe(tmp_path))


def test_the_plan_of_a_run(tmp_path: Path) -> None:
    lines = without_torch("run", write_recipe(tmp_path), "--out", tmp_path / "run", "--dry-run").splitlines()
    assert len(lines) == 15 and lines[0] == "prepare: not run yet"
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_the_package_runs_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = without_torch("init", "--list").splitlines()
    assert "demo" in [line.split()[0] for line in listed] and len(listed) >= 20
    without_torch("init", "demo")
    assert "prepare: not run yet" in without_torch("run", "demo.yaml", "--dry-run")


def test_init_says_what_it_needs() -> None:
    for arguments, message in ((["init"], "NAME"), (["init", "demo", "--list"], "--list takes no NAME")):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2 and message in result.output


def test_runs_and_sweeps_have_a_place_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe, made = write_recipe(tmp_path), []
    monkeypatch.setattr(
        "neuronspec.runs.pipeline.Pipeline.execute", lambda self, stage: made.append(self.run.paths.folder)
    )
    assert (result := CliRunner().invoke(app, ["prepare", str(recipe)])).exit_code == 0, result.output
    file = write_sweep(tmp_path, "arms: {dense: }\n")
    places: list[Path] = []
    monkeypatch.setattr("neuronspec.sweep.checks.nodes_of", lambda sweep, out, base, **_: places.append(out) or [])
    assert CliRunner().invoke(app, ["sweep", str(file), "--dry-run"]).exit_code == 0
    assert made == [Path("runs") / Recipe.load(recipe).name] and places == [Path("sweeps") / Sweep.load(file).name]


def test_the_plan_of_a_sweep(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, "arms: {dense: , specialized: }\n")
    assert "dense/seed-1: to do" in without_torch("sweep", file, "--out", tmp_path / "out", "--dry-run")


SIGNALLED = """
import os, signal, sys

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == "neuronspec.cli.app":
            os.kill(os.getpid(), signal.SIGNAL)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Sender())
sys.argv = ["neuronspec", "--help"]
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("start", ["module", "script"])
def test_a_signal_while_the_commands_are_imported_gives_one_line_and_130(start: str, name: str) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, function = project["scripts"]["neuronspec"].split(":")
    code = {
        "module": "import runpy; runpy.run_module('neuronspec', run_name='__main__')",
        "script": f"from {module} import {function}; {function}()",
    }[start]
    command = [sys.executable, "-c", SIGNALLED.replace("SIGNAL)", f"{name})") + code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == f"stopped by {name}; what was finished is kept, and nothing is half-written\n"
