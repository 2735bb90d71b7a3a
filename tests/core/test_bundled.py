"""Recipes and sweeps of the package, as a user is given them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neuronspec.core.bundled import Bundled, bundled, write_bundled
from neuronspec.core.errors import NeuronspecError, PathError, RecipeError
from neuronspec.recipe import Recipe
from neuronspec.sweep.settings import Sweep

RECIPES = Path(__file__).parents[2] / "recipes"
ALL = bundled()


def test_all_recipes_and_sweeps_are_there_in_a_line_each() -> None:
    assert len(ALL) == len(list(RECIPES.rglob("*.yaml"))) >= 20
    assert {"demo", "adaptation", "adaptation-sweep"} <= ALL.keys()
    assert [entry.name for entry in ALL.values() if not 20 < len(entry.summary) < 200 or "\n" in entry.summary] == []


@pytest.mark.parametrize("entry", ALL.values(), ids=ALL.keys())
def test_names_and_paths_are_those_beside_the_file(entry: Bundled) -> None:
    local = re.sub(r"https://\S+", "", entry.text)
    assert re.findall(r"\.\./|recipes/|docs/|sweeps/\S+\.yaml", local) == []
    assert {name for name in re.findall(r"([\w-]+)\.yaml", local) if name not in ALL} == set()
    assert entry.text.count("#") >= entry.source.count("#")
    assert ("# Paths are relative to this file" in entry.text) == ("data/" in local)


def test_a_sweep_comes_with_its_recipe(tmp_path: Path) -> None:
    file = tmp_path / "new" / "mine.yaml"
    assert write_bundled("adaptation-demo-sweep", file) == [file, file.with_name("demo.yaml")]
    assert Sweep.load(file).name == "adaptation-demo"
    assert Recipe.load(file.with_name("demo.yaml")).name == "demo"
    assert file.with_name("demo.yaml").read_text(encoding="utf-8") == (RECIPES / "demo.yaml").read_text(
        encoding="utf-8"
    )
    again = file.with_name("again.yaml")
    assert write_bundled("adaptation-demo-sweep", again) == [again]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text("mine\n", encoding="utf-8")
    with pytest.raises(PathError, match=r"demo.yaml is there already and stays as it is; name another"):
        write_bundled("demo", file)
    assert file.read_text(encoding="utf-8") == "mine\n"


def test_a_sweep_does_not_take_the_place_of_its_recipe(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"demo.yaml: adaptation-demo-sweep is a sweep of the recipe .*another --out"):
        write_bundled("adaptation-demo-sweep", tmp_path / "demo.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("dmeo", RecipeError, "no recipe 'dmeo' comes with neuronspec; did you mean 'demo'"),
        ("demo", PathError, "is a folder; give the path of a file"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, error: type[NeuronspecError], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        write_bundled(name, tmp_path)
    assert raised.value.exit_code == 2 and list(tmp_path.iterdir()) == []
