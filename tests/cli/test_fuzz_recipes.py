"""Odd values for every key of a recipe: refused in one message, or a recipe that is written down and read again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from tests.helpers.mutations import neuronspec
from tests.helpers.synthetic import write_recipe

from neuronspec.recipe import Recipe

VALUES = [
    "null", "true", ".inf", "-.inf", ".nan", "-1", "0", "1e400", "1e308", str(10**30), str(2**64), "0.5", "''", "x",
    "[]", "[[]]", "[-1, .nan]", "{}", "{x: 1}", "{1: 2}", "'\\0'", "2020-13-45", "!!float x", "&a [*a]", "[" * 60,
    "../../../../etc/passwd", "/dev/zero",
]  # fmt: skip
JARGON = ("Input should", "Extra inputs", "Field required", "String should", "Keys should", "Value error", "pydantic")


def keys(section: BaseModel, path: str = "") -> Iterator[str]:
    """Every key of a recipe, with those of its sections."""
    for name in type(section).model_fields:
        value: Any = getattr(section, name)
        yield f"{path}{name}"
        if isinstance(value, BaseModel):
            yield from keys(value, f"{path}{name}.")


def test_odd_values_of_every_key(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    draw = random.Random(0)
    found = list(keys(Recipe.load(recipe)))
    assert len(found) > 80
    for key in found:
        for value in draw.sample(VALUES, 3):
            outcome = neuronspec("validate", recipe, "--set", f"{key}={value}", folder=tmp_path)
            assert outcome.readable(), f"{key}={value}: {outcome.err}"
            assert outcome.code in (0, 2), f"{key}={value}: {outcome.err}"
            assert not [word for word in JARGON if word in outcome.err], f"{key}={value}: {outcome.err}"


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf"])
def test_no_number_is_infinite(tmp_path: Path, value: str) -> None:
    """In no key at all: a run would die of it, hours later."""
    recipe = write_recipe(tmp_path)
    for key in keys(Recipe.load(recipe)):
        if key not in ("name",):
            outcome = neuronspec("validate", recipe, "--set", f"{key}={value}", folder=tmp_path)
            assert outcome.code == 2, f"{key}={value} is accepted"


def test_damaged_recipes(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    text, draw = recipe.read_bytes(), random.Random(1)
    for number in range(60):
        content = bytearray(text)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(content))
            content[place : place + draw.randint(0, 3)] = draw.choice(
                [b"\xff", b"\0", b"[" * 200, b"&a *a", b"? [a]\n", b"\t", b": ", b"- ", b"!!int ", b"9" * 200, b"{"]
            )
        recipe.write_bytes(content)
        outcome = neuronspec("validate", recipe, folder=tmp_path)
        assert outcome.readable() and outcome.code in (0, 2), f"{number}: {outcome.err}"
        if outcome.code == 0:
            assert yaml.safe_load(Recipe.load(recipe).to_yaml())["name"]
