"""Names and what they stand for."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from neuronspec.core.errors import RecipeError
from neuronspec.core.registry import OneOf, Registry


def numbers() -> Registry[type]:
    return Registry("number", {"fraction": "fractions:Fraction", "whole": int})


def test_names_in_order_and_objects() -> None:
    registry = numbers()
    assert registry.names == list(registry) == ["fraction", "whole"] and len(registry) == 2
    assert registry.get("fraction") is Fraction and registry.get("whole") is int
    assert "whole" in registry and "half" not in registry


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = """
import sys
from neuronspec.core.registry import Registry
registry = Registry("page", {"web": "wsgiref.handlers:BaseHandler"})
registry.check("web")
assert "wsgiref.handlers" not in sys.modules
registry.get("web")
assert "wsgiref.handlers" in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_gets_the_nearest() -> None:
    for ask in (numbers().get, numbers().check):
        with pytest.raises(RecipeError, match="unknown number .fractoin.; did you mean .fraction."):
            ask("fractoin")


def test_registering_directly_and_as_a_decorator() -> None:
    registry = numbers()
    registry.register("complex", complex)

    @registry.register("own")
    class Own:
        pass

    assert registry.get("complex") is complex and registry.get("own") is Own
    assert registry.names[2:] == ["complex", "own"]


def test_a_taken_name_is_refused_and_the_same_again_is_not() -> None:
    registry = numbers()
    registry.register("whole", int)
    with pytest.raises(RecipeError, match="number 'whole' is registered already"):
        registry.register("whole", float)
    assert registry.get("whole") is int


def test_an_entry_can_be_taken_out() -> None:
    registry = numbers()
    registry.remove("whole")
    assert registry.names == ["fraction"]
    with pytest.raises(RecipeError):
        registry.remove("whole")


def test_settings_take_the_names_of_the_moment() -> None:
    registry = numbers()

    class Settings(BaseModel):
        kind: Annotated[str, OneOf(registry)] = "whole"

    assert Settings.model_json_schema()["properties"]["kind"]["enum"] == ["fraction", "whole"]
    with pytest.raises(ValidationError, match="did you mean 'whole'"):
        Settings(kind="whale")
    registry.register("whale", complex)
    assert Settings(kind="whale").kind == "whale"
