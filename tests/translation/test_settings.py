"""The recipe's settings of evaluation, and the examples of the documentation."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from neuronspec.cli.app import app
from neuronspec.core.errors import RecipeError
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import tasks_of
from neuronspec.translation.settings import EvaluationSettings

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"
RECIPE: dict[str, Any] = {
    "name": "trial",
    "corpus": {"train": {"reader": "catalogs"}, "languages": ["de", "fr"]},
    "training": {"updates": 10},
    "continuation": {"updates": 5},
}


def recipe(**evaluation: Any) -> Recipe:
    return Recipe.model_validate(RECIPE | {"evaluation": evaluation})


def test_zero_shot_directions_come_after_the_trained_ones() -> None:
    found = recipe(zero_shot=["fr-de", "de-fr"])
    assert [str(d) for d in found.evaluated_directions] == ["de-en", "en-de", "en-fr", "fr-en", "de-fr", "fr-de"]
    assert [str(d) for d in recipe().evaluated_directions] == ["de-en", "en-de", "en-fr", "fr-en"]


@pytest.mark.parametrize(
    ("zero_shot", "message"),
    [
        (["en-de"], "en-de is trained; leave it out"),
        (["de-fr", "de-fr"], "de-fr is named twice"),
        (["de-nl"], "language 'nl' is not among the languages"),
        (["defr"], "expected SOURCE-TARGET"),
    ],
)
def test_zero_shot_directions_that_make_no_sense(tmp_path: Path, zero_shot: list[str], message: str) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(yaml.safe_dump(RECIPE | {"evaluation": {"zero_shot": zero_shot}}), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        Recipe.load(path)


def test_zero_shot_needs_trained_directions_to_compose_from() -> None:
    corpus = RECIPE["corpus"] | {"directions": "out"}
    with pytest.raises(ValueError, match="de-fr needs trained directions such as de-en and en-fr"):
        Recipe.model_validate(RECIPE | {"corpus": corpus, "evaluation": {"zero_shot": ["de-fr"]}})


def test_scores_are_settings_of_gathering_alone() -> None:
    settings = {task.name: task.settings for task in tasks_of(recipe(scores={"ter": False}, beam=3))}
    assert (
        settings["evaluate/base"]["evaluation"]["beam"] == 3 and "scores" not in settings["evaluate/base"]["evaluation"]
    )
    assert settings["evaluate"]["evaluation"]["scores"]["ter"] is False
    prepared = {task.name: task.settings for task in tasks_of(recipe(zero_shot=["de-fr"]))}["prepare"]
    assert prepared["zero_shot"] == ["de-fr"]


def test_documented_settings_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        EvaluationSettings.model_validate(yaml.safe_load(block)["evaluation"])


def test_documented_commands_have_these_options() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [block for block in text.split("```")[1::2] if block.startswith("\n")]
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("neuronspec ")]
    assert len(lines) == 3
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        context = group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
        assert context.params
    options = set(re.findall(r"`(--[a-z0-9-]+)", text)) - {"--paired-bs", "--paired-ar"}
    known = {option for name in ("evaluate", "compare") for p in group.commands[name].params for option in p.opts}  # type: ignore[attr-defined]
    assert options and options <= known


def test_the_precision_is_of_transformers_and_leaves_older_scores_valid() -> None:
    with pytest.raises(ValueError, match="precision belongs to engine transformers; ctranslate2 computes as"):
        EvaluationSettings(engine="ctranslate2", precision="bf16")
    assert "precision" not in EvaluationSettings().translation
    assert EvaluationSettings(precision="bf16").translation["precision"] == "bf16"


def test_what_an_engine_cannot_convert_is_computed_as_exactly() -> None:
    converted = EvaluationSettings(engine="ctranslate2", quantization="int8")
    found = converted.by_transformers(exactly=True)
    assert (found.engine, found.quantization, found.precision) == ("transformers", None, "float32")
    assert converted.by_transformers(exactly=False).precision == "auto"
    assert EvaluationSettings(precision="bf16").by_transformers(exactly=True).precision == "bf16"
