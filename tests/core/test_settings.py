"""Every number that a user can set has bounds, wherever its settings are defined: absurd ones are refused at once."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

import neuronspec
from neuronspec.core.settings import RecipePattern, Section
from neuronspec.deploy.server.keys import Key

ABSURD = [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 10**30, -(10**30)]


def settings() -> list[type[BaseModel]]:
    """The sections of recipes and sweeps, of readers too, and of a server's keys.

    What its clients ask for too much of is clipped.
    """
    for module in pkgutil.walk_packages(neuronspec.__path__, "neuronspec."):
        if module.name.rpartition(".")[2] in ("settings", "recipe") or ".readers." in module.name:
            importlib.import_module(module.name)
    found = [each for kind in (Section, Key) for each in (kind, *below(kind))]
    return sorted((each for each in found if each.__module__.startswith("neuronspec.")), key=lambda each: each.__name__)


def below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def numbers(schema: Any) -> Iterator[dict[str, Any]]:
    """The parts of a JSON schema that are numbers, in lists and mappings too."""
    if isinstance(schema, list):
        for part in schema:
            yield from numbers(part)
    elif isinstance(schema, dict):
        if schema.get("type") in ("number", "integer") and "enum" not in schema and "const" not in schema:
            yield schema
        for name, part in schema.items():
            if name not in ("$defs", "default"):
                yield from numbers(part)


def fields() -> Iterator[Any]:
    for section in settings():
        for name, info in section.model_fields.items():
            yield pytest.param(section, info, id=f"{section.__name__}.{name}")


def adapter(section: type[BaseModel], info: FieldInfo) -> TypeAdapter[Any]:
    kind = Annotated[info.annotation, info] if info.annotation is not None else Any
    is_model = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    config = ConfigDict(allow_inf_nan=section.model_config.get("allow_inf_nan", True))
    return TypeAdapter(kind) if is_model else TypeAdapter(kind, config=config)


def test_the_settings_are_found() -> None:
    names = {section.__name__ for section in settings()}
    assert len(names) > 20
    assert {"Recipe", "TrainingSettings", "Sweep", "Entry", "CatalogsSource", "MosesSource", "Key"} <= names


@pytest.mark.parametrize(("section", "info"), fields())
def test_numbers_have_bounds(section: type[BaseModel], info: FieldInfo) -> None:
    for number in numbers(adapter(section, info).json_schema()):
        assert {"minimum", "exclusiveMinimum"} & number.keys(), f"no lower bound: {number}"
        assert {"maximum", "exclusiveMaximum"} & number.keys(), f"no upper bound: {number}"


@pytest.mark.parametrize(("section", "info"), fields())
def test_absurd_numbers_are_refused(section: type[BaseModel], info: FieldInfo) -> None:
    checked = adapter(section, info)
    if not list(numbers(checked.json_schema())):
        return
    for value in ABSURD:
        for given in (value, [value], [value, value], {"en-de": value}, {"encoder": value}):
            with pytest.raises(ValidationError):
                checked.validate_python(given)


@pytest.mark.parametrize(("section", "info"), fields())
def test_no_regular_expression_is_told(section: type[BaseModel], info: FieldInfo) -> None:
    """`matching` says in words what a text should be; a `pattern` of pydantic would be shown as it is."""
    assert "'pattern':" not in str(adapter(section, info).json_schema())


def test_the_name_of_a_link_says_whether_its_file_is_packed(tmp_path: Path) -> None:
    """Downloads of the Hugging Face hub are links to files that are named by their content."""
    real, given = tmp_path / "real", tmp_path / "given"
    (real / "blobs").mkdir(parents=True)
    given.symlink_to(real)
    (real / "blobs" / "1a2b").write_bytes(b"")
    for name in ("text.tsv.gz", "text.zip", "text.tsv"):
        (real / name).symlink_to(Path("blobs") / "1a2b")

    def path(text: str) -> str:
        return TypeAdapter(RecipePattern).validate_python(text, context={"folder": given})

    assert path("text.tsv.gz") == str(real.resolve() / "text.tsv.gz")
    assert path("text.zip/a.{lang}") == str(real.resolve() / "text.zip" / "a.{lang}")
    assert path("blobs/../text.tsv") == path("blobs/1a2b") == str(real.resolve() / "blobs" / "1a2b")
    (real / "plain").symlink_to(Path("text.tsv.gz"))
    assert path("plain") == str(real.resolve() / "blobs" / "1a2b"), "as ever"
