"""A plug-in's reader, criterion, arm and metric, from text to tables: the one on the page about plug-ins."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers import forked
from tests.helpers.synthetic import RECIPE, WORDS
from tests.test_docs import python_blocks

pytestmark = pytest.mark.cli
PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


def neuronspec(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    return checked(forked.neuronspec(*arguments), code)


def checked(done: subprocess.CompletedProcess[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "my_parts.py").write_text(python_blocks(PAGE), encoding="utf-8")
    draw = random.Random(0)
    lines = []
    for _ in range(300):
        words = [draw.randrange(len(WORDS["en"])) for _ in range(draw.randint(3, 8))]
        lines.append(" = ".join(" ".join(WORDS[code][word] for word in words) for code in ("en", "de")))
    (folder / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = RECIPE.replace("{reader: tsv, path: table.tsv}", "{reader: equals, path: text.txt}")
    text = text.replace("[de, fr, it]", "[de]").replace(
        "max_new_tokens: 16}", "max_new_tokens: 16,\n  scores: {metrics: [exact]}}"
    )
    text += "plugins: [my_parts]\nselection: {criterion: above_mean}\narms: [specialized, gentle]\n"
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return folder / "own.yaml"


def test_everything_of_a_plugin_works_from_text_to_tables(recipe: Path) -> None:
    run = recipe.parent / "run"
    assert "arms: specialized, gentle, dense, random" in neuronspec("validate", recipe).stdout
    neuronspec("run", recipe, "--out", run)
    results = json.loads((run / "results.json").read_text())
    assert set(results["arms"]) == {"copy", "base", "specialized", "gentle", "dense", "random"}
    assert all(0 <= score["exact"] <= 100 for arm in results["arms"].values() for score in arm.values())
    assert results["arms"]["copy"]["en-de"]["exact"] == 0
    assert json.loads((run / "data" / "corpus.json").read_text())["reader"] == "equals"
    again = neuronspec("run", recipe, "--out", run, "--dry-run").stdout
    assert again.count("up to date") == again.count("\n")

    # a run folder may be somebody else's
    refused = neuronspec("evaluate", run, code=2)
    assert "my_parts.py" in refused.stderr and "--allow-plugins" in refused.stderr and refused.stdout == ""
    assert "exact" in neuronspec("evaluate", run, "--allow-plugins").stdout
    for seen in (run, run / "recipe.yaml"):
        assert "--allow-plugins" in neuronspec("inspect", seen, code=2).stderr
        assert "specialized" in neuronspec("inspect", seen, "--allow-plugins").stdout

    # a changed plug-in runs again what it may have changed
    parts = recipe.parent / "my_parts.py"
    parts.write_text(parts.read_text().replace("/ 10", "/ 20"), encoding="utf-8")
    assert "plugins" in neuronspec("run", recipe, "--out", run, "--dry-run").stdout


@pytest.mark.slow
def test_a_sweep_of_plugins(recipe: Path) -> None:
    sweep = recipe.parent / "sweep.yaml"
    sweep.write_text("name: own\nrecipe: own.yaml\narms: {dense: , gentle: }\n", encoding="utf-8")
    command = [sys.executable, "-m", "neuronspec", "sweep", str(sweep), "--out", str(recipe.parent / "sweep")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    checked(subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300))
    results = json.loads((recipe.parent / "sweep" / "results.json").read_text())
    assert set(results["entries"]) == {"dense", "gentle"}
