"""The rules of the house that no linter knows: see docs/architecture.md. Layers and cycles are import-linter's."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "neuronspec"
FILES = sorted(SOURCE.rglob("*.py"))
PACKAGES = sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists())
LIGHT = ("settings", "registry")
"""Modules that a recipe is checked with: names and bounds, no work."""

LONGEST_FILE = 350
LONGEST_FUNCTION = 45
"""Lines, without the signature and the docstring."""


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports when it is imported itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_the_top_level_holds_packages_and_the_recipe_alone() -> None:
    files = {path.name for path in SOURCE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed", "recipe.py"}


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in LIGHT], ids=name_of)
def test_settings_and_registries_import_only_what_is_light(path: Path) -> None:
    """The core, other settings and registries, and the bases of what a registry holds."""
    own = [name for name in imported(ast.parse(path.read_text())) if name.startswith("neuronspec.")]
    light = (
        "neuronspec.core",
        "neuronspec.corpus.readers",
        "neuronspec.corpus.old_form",
        "neuronspec.models.presets",
        "neuronspec.models.prompts",
        "neuronspec.training.optimizers",
        "neuronspec.training.schedules",
        "neuronspec.training.tracking",
        "neuronspec.translation.quantizations",
        "neuronspec.recipe",
    )
    assert [name for name in own if not name.startswith(light) and name.rpartition(".")[2] not in LIGHT] == []
    assert not {"torch", "transformers", "pyarrow", "datasets", "numpy"} & set(imported(ast.parse(path.read_text())))


def test_a_module_name_occurs_at_most_twice_and_is_no_package() -> None:
    names = Counter(path.stem for path in FILES if path.stem not in (*LIGHT, "__init__", "__main__"))
    assert {name: count for name, count in names.items() if count > 2} == {}
    assert sorted(set(names) & set(PACKAGES)) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=name_of)
def test_packages_hand_nothing_on(path: Path) -> None:
    """Only `neuronspec` itself and the figures are public under the package's name."""
    if path.parent in (SOURCE, SOURCE / "report", SOURCE / "report" / "figures"):
        return
    body = ast.parse(path.read_text()).body
    assert len(body) == 1 and isinstance(body[0], ast.Expr), "a docstring and nothing else"


def test_files_and_functions_are_short() -> None:
    files = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in files.items() if lines > LONGEST_FILE} == {}
    functions = {
        f"{name_of(path)}: {node.name}": lines_of(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}


def test_json_is_read_by_one_reader() -> None:
    """`core/json_files.py` reads all of it, so that whatever is in a file, one message names it."""
    alone = (
        "core/json_files.py",
        "scoring/comet_worker.py",  # runs where neuronspec isn't installed
    )
    readers = {"json.load", "json.loads", "model_validate_json", "validate_json"}
    found = {
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        if name_of(path) not in alone
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(tuple(readers))
        # what was just dumped comes back as plain values: no file is read
        and not (node.args and ast.unparse(node.args[0]).startswith("json.dumps("))
    }
    assert found == set()


def test_tests_mirror_the_packages() -> None:
    tests = Path(__file__).parent
    folders = {path.name for path in tests.iterdir() if list(path.glob("test_*.py")) or path.name in PACKAGES}
    assert folders <= set(PACKAGES)
