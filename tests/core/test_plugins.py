"""Modules of a user's own, and who may have them imported."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuronspec.core import plugins as module
from neuronspec.core.errors import RecipeError
from neuronspec.corpus.readers.registry import READERS
from neuronspec.recipe import Recipe

READER = '''
from collections.abc import Iterator
from typing import Literal

from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.rows import Row, in_columns
from neuronspec.corpus.readers.source import Source, stamps


@READERS.register("lines")
class LinesSource(Source):
    """Lines with two languages, separated by an equals sign."""

    reader: Literal["lines"]
    path: RecipePath

    def inputs(self):
        return stamps([self.path])

    def read(self, wanted, split, counts):
        def rows():
            for number, line in enumerate(self.path.read_text().splitlines(), start=1):
                texts = dict(zip(wanted.languages, line.split(" = "), strict=True))
                yield Row(texts, f"{self.path.name}:{number}")

        return in_columns(rows(), wanted.languages, split)
'''
RECIPE = """\
name: own
plugins: [own_reader]
corpus:
  train: {reader: lines, path: text.txt}
  languages: [de]
training: {updates: 1}
continuation: {updates: 1}
"""


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plug-ins stay imported in a process; the tests begin without."""
    monkeypatch.setenv(module.ALLOWED, "")
    yield
    for name in [name for name in READERS if name == "lines"]:
        READERS.remove(name)
    for name in ("own_reader", "broken"):
        sys.modules.pop(name, None)
    module._imported.clear()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "own_reader.py").write_text(READER)
    (tmp_path / "text.txt").write_text("one = eins\ntwo = zwei\n")
    (tmp_path / "own.yaml").write_text(RECIPE)
    return tmp_path / "own.yaml"


def test_a_recipe_imports_its_plugins_before_it_is_checked(recipe: Path) -> None:
    loaded = Recipe.load(recipe)
    assert loaded.corpus.train.reader == "lines"
    assert loaded.plugins == [str(recipe.parent / "own_reader.py")]
    assert Recipe.load(recipe) == loaded  # a second time nothing is registered twice


def test_a_run_folder_does_not(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(RECIPE.replace("[own_reader]", f"[{recipe.parent / 'own_reader.py'}]"))
    with pytest.raises(RecipeError, match=r"made with plug-ins.*own_reader\.py.*with --allow-plugins"):
        Recipe.of_run(run)
    assert "lines" not in READERS and "own_reader" not in sys.modules
    shutil.copy(tmp_path / "text.txt", run)
    module.allow_plugins()
    assert Recipe.of_run(run).corpus.train.reader == "lines"


def test_a_run_of_the_recipe_at_hand_is_opened(recipe: Path, tmp_path: Path) -> None:
    """As `neuronspec run RECIPE` does, and the processes that it starts."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(Recipe.load(recipe).to_yaml())
    assert Recipe.of_run(run).plugins == [str(tmp_path / "own_reader.py")]
    assert str(tmp_path / "own_reader.py") in os.environ[module.ALLOWED]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "there is no module 'broken', neither beside the recipe"),
        ("import nothing_of_that_name", "needs the module 'nothing_of_that_name'"),
        ("1 / 0", "failed while it was imported: ZeroDivisionError"),
        ("def", "failed while it was imported: SyntaxError"),
        ("import sys; sys.exit(3)", "failed while it was imported: SystemExit: 3"),
        (
            "import neuronspec as ns\nns.register_reader('x')(dict)",
            "plugins: .*broken.py: reader 'x' must be a subclass of Source",
        ),
        ("import neuronspec as ns\nns.register_arm('x')(5)", "arm 'x' must be a subclass of Arm"),
        ("import neuronspec as ns\nns.register_criterion('x', dict)", "criterion 'x' must be a subclass of Criterion"),
        ("import neuronspec as ns\nns.register_metric('x')(dict)", "metric 'x' must be a subclass of Metric"),
        (READER.replace('"lines"', '"tsv"'), "reader 'tsv' is registered already"),
    ],
)
def test_what_goes_wrong_is_one_message(recipe: Path, code: str | None, message: str) -> None:
    recipe.write_text(RECIPE.replace("own_reader", "broken"))
    if code is not None:
        (recipe.parent / "broken.py").write_text(code)
    with pytest.raises(RecipeError, match=message):
        Recipe.load(recipe)


def test_a_name_that_is_taken_is_refused(recipe: Path) -> None:
    (recipe.parent / "json.py").write_text("")
    recipe.write_text(RECIPE.replace("own_reader", "json"))
    with pytest.raises(RecipeError, match="another module named 'json'"):
        Recipe.load(recipe)


def test_the_stamp_is_of_the_code(tmp_path: Path) -> None:
    file, package = tmp_path / "one.py", tmp_path / "two" / "__init__.py"
    package.parent.mkdir()
    for path in (file, package):
        path.write_text("a = 1")
    (package.parent / "part.py").write_text("b = 2")
    stamps = {module.plugin_stamp(str(path)) for path in (file, package)}
    (package.parent / "part.py").write_text("b = 3")
    stamps.add(module.plugin_stamp(str(package)))
    assert len(stamps) == 3 and module.plugin_stamp("json") == module.plugin_stamp("json")


@pytest.mark.parametrize("name", ["", "../x", "a b", "text.txt/", "1x"])
def test_what_is_no_name_of_a_module(recipe: Path, name: str) -> None:
    recipe.write_text(RECIPE.replace("[own_reader]", f"['{name}']"))
    with pytest.raises(RecipeError, match="is no module; write a name such as my_module"):
        Recipe.load(recipe)


def test_what_a_plugin_prints_stays_out_of_standard_output(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe.parent / "own_reader.py").write_text(READER + "\nprint('hello')\n")
    Recipe.load(recipe)
    assert capsys.readouterr() == ("", "hello\n")


def test_looking_at_a_recipe_of_somebody_else_imports_nothing(recipe: Path) -> None:
    with pytest.raises(RecipeError, match="with --allow-plugins"):
        Recipe.load(recipe, trusted=False)
    assert "own_reader" not in sys.modules
