"""Where a command is started from: streams that are closed, odd variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import write_recipe

pytestmark = pytest.mark.cli
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$N` is neuronspec."""
    environment = ENVIRONMENT | variables | {"N": f"{sys.executable} -m neuronspec"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=environment, timeout=120,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize(
    "command",
    ["prepare RECIPE --out OUT", "inspect RECIPE", "validate RECIPE --json", "run RECIPE --out NEW --dry-run"],
)
def test_a_reader_that_goes_away_ends_it_quietly(command: str, recipe: Path, tmp_path: Path) -> None:
    command = command.replace("RECIPE", str(recipe)).replace("OUT", str(tmp_path / "out"))
    ended = shell(f"$N {command.replace('NEW', str(tmp_path / 'new'))} | true")
    assert ended.stderr == "" and ended.returncode in (0, 1)


def test_closed_streams(recipe: Path) -> None:
    for stream in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        ended = shell(f"$N validate {recipe} {stream}")
        assert ended.returncode == 0 and ended.stderr == "", stream


def test_closed_standard_input_of_a_translation(tmp_path: Path) -> None:
    from tests.helpers.toy_corpus import toy_model, toy_tokenizer

    toy_model().save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    ended = shell(f"$N translate {tmp_path} --from en --to de <&-")
    assert ended.returncode == 1 and "standard input is closed" in ended.stderr and "Traceback" not in ended.stderr
    ended = shell(f"echo w1 | $N translate {tmp_path} --from en --to de >&-")
    assert ended.returncode == 1 and "standard output is closed" in ended.stderr and "Traceback" not in ended.stderr
    ended = neuronspec("translate", tmp_path, "--from", "en", "--to", "de", "--out", tmp_path, text="w1")
    assert ended.returncode == 2 and f"{tmp_path} is a folder" in ended.stderr and ".tmp" not in ended.stderr


def test_a_locale_without_utf_8(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "Übung")
    named = recipe.with_name("Rezept-ü.yaml")
    named.write_text(recipe.read_text())
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in (f"validate '{named}'", f"validate '{named}' --json", f"inspect '{named}'", "validate 'ü.yaml'",
                    f"prepare '{named}' --out '{tmp_path}/ü'"):  # fmt: skip
        ended = shell(f"$N {command}", **variables)
        assert ended.returncode == (2 if "'ü.yaml'" in command else 0), ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK"])
def test_variables_of_torchrun_that_are_no_numbers(name: str, recipe: Path) -> None:
    ended = shell(f"$N validate {recipe}", **{name: "abc"})
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1 and f"{name} is 'abc'" in ended.stderr
