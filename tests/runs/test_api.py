"""`ns.run`, `ns.train`, `ns.evaluate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.synthetic import write_recipe

import neuronspec as ns
from neuronspec.core.errors import RecipeError
from neuronspec.runs.pipeline import Pipeline

SHORT = ["training.updates=2", "training.validate_every=2", "continuation.updates=1", "evaluation.max_sentences=2"]


def test_train_prepares_and_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[str | None] = []
    monkeypatch.setattr(Pipeline, "execute", lambda self, stage=None: stages.append(stage))
    assert ns.train(write_recipe(tmp_path), tmp_path / "run", overrides=SHORT) == tmp_path / "run" / "base"
    assert stages == ["prepare", "train"]
    recipe = ns.Recipe.load(write_recipe(tmp_path), SHORT)
    with pytest.raises(ns.NeuronspecError, match="results"):  # nothing was made
        ns.run(recipe, tmp_path / "run")
    assert stages[2:] == [None]


def test_mistakes_are_those_of_the_commands(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'updates'"):
        ns.run(write_recipe(tmp_path), tmp_path / "run", overrides=["training.update=2"])
    with pytest.raises(RecipeError, match="is not a run folder"):
        ns.evaluate(tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_from_python(tmp_path: Path) -> None:
    results = ns.run(write_recipe(tmp_path), tmp_path / "run", overrides=SHORT)
    assert list(results.arms) == ["copy", "base", "specialized", "dense", "random"]
    again = ns.evaluate(tmp_path / "run")
    assert again.arms == results.arms and again.arms["dense"]["en-de"].n == 2
