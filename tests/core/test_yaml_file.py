"""Recipes as bytes: whatever is in the file, there is one message, soon."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuronspec.core.errors import RecipeError
from neuronspec.core.yaml_file import LARGEST, dump_yaml, load_yaml, parse_override
from neuronspec.recipe import Recipe

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
RECIPE = """\
name: trial
corpus:
  train: {reader: catalogs}
  languages: [de]
training: {updates: 10}
continuation: {updates: 5}
"""


def refused(folder: Path, content: bytes) -> str:
    path = folder / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_yaml(path, [])
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"recipe.yaml:\d+: more than 100,000 values with its aliases"),
        ("a: &a\n  b: *a\n", r"recipe.yaml:1: a value that contains itself"),
        ("&a [*a]", r"recipe.yaml:1: a value that contains itself"),
        ("a: " + "[" * 60 + "]" * 60, r"recipe.yaml:1: nested more than 50 levels deep"),
        ("[" * 20_000, r"recipe.yaml: nested more than 50 levels deep"),
        ("a: " + "{b: " * 2_000, r"recipe.yaml: nested more than 50 levels deep"),
        ("? [a, b]\n: c\n", r"recipe.yaml:1: a key must be text, not a list or mapping"),
        ("a:\n  12: c\n", r"recipe.yaml:2: a key must be text, not '12'; put it in quotes"),
        ("null: c\n", r"recipe.yaml:1: a key must be text, not 'null'"),
        ("a: !!float abc\n", r"recipe.yaml:1: a: 'abc' can't be read as !!float"),
        ("a: !!int ''\n", r"recipe.yaml:1: a: '' can't be read as !!int"),
        ("a: !!bool maybe\n", r"recipe.yaml:1: a: 'maybe' can't be read as !!bool"),
        ("a: !!timestamp 2020-99-99\n", r"recipe.yaml:1: a: the tag '!!timestamp' isn't used in recipes"),
        ("a: !!binary x\n", r"the tag '!!binary' isn't used"),
        ("a: !!python/object/apply:os.system [echo]\n", r"recipe.yaml:1: not valid YAML: could not determine"),
        ("a:\n - " + "9" * 5_000, r"recipe.yaml:2: a.0: a number of 5,000 characters"),
        ("name: a\x07b\n", r"recipe.yaml:1: not valid YAML: the character"),
        ("a: b\n--- \nc: d\n", "not valid YAML"),
        ("a: *nobody\n", "recipe.yaml:1: not valid YAML: found undefined alias"),
        ("", "the recipe is empty"),
        ("just text", "a recipe is a mapping of keys"),
        ("x" * (LARGEST + 1), "larger than 1 MiB"),
    ],
    ids=lambda value: value[:20],
)
def test_one_message(tmp_path: Path, text: str, message: str) -> None:
    found = refused(tmp_path, text.encode())
    assert re.search(message, found), found
    assert "\n" not in found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    assert "UTF-8" in refused(tmp_path, "name: Grüße\n".encode(encoding))


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to would never end."""
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "no regular"),
    ):
        found: list[str] = []

        def read(path: Path = path, found: list[str] = found) -> None:
            try:
                load_yaml(path, [])
            except RecipeError as error:
                found.append(str(error))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(10)
        assert found and what in found[0]


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("\ufeff" + RECIPE, encoding="utf-8")
    assert Recipe.load(tmp_path / "recipe.yaml").name == "trial"


def test_dates_are_text_and_aliases_are_copies(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("a: 2020-01-31\nb: &b {path: x}\nc: *b\n")
    assert load_yaml(path, ["c.path=y"]).values == {"a": "2020-01-31", "b": {"path": "x"}, "c": {"path": "y"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10), ("-7", -7), ("+1", 1), ("0o17", 15), ("0x1F", 31), ("!!int '0b1'", None),
        ("16:00", "16:00"), ("0b11", "0b11"), ("1_000", "1_000"), ("-0x1F", "-0x1F"), ("0o8", "0o8"),
    ],
)  # fmt: skip
def test_whole_numbers_are_those_of_yaml_1_2(text: str, value: int | str | None) -> None:
    if value is None:
        with pytest.raises(RecipeError, match="can't be read as !!int"):
            parse_override(f"a={text}")
        return
    assert parse_override(f"a={text}") == ("a", value)
    assert parse_override(f"a='{text}'") == ("a", text)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.one_of(st.integers(), st.sampled_from(
    ["010", "16:00", "0o17", "5e-4", "1e5", "0x1F", "no", "true", "null", "2020-01-31", "1_000", "-", "", "\U0001f600"]
))))  # fmt: skip
def test_what_is_written_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("written") / "recipe.yaml"
    path.write_text(dump_yaml({"name": "trial", **values}), encoding="utf-8")
    assert load_yaml(path, []).values == {"name": "trial", **values}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=[1]", r"name is \[1\]; it should be text"),
        ("seed=one", "seed is 'one'; it should be a whole number"),
        ("seed=1.5", "seed is 1.5; it should be a whole number"),
        ("training.learning_rate=fast", "training.learning_rate is 'fast'; it should be a number"),
        ("training.compile=perhaps", "training.compile is 'perhaps'; it should be true or false"),
        ("corpus.languages=de", "corpus.languages is 'de'; it should be a list"),
        ("corpus.languages=[]", r"corpus.languages is \[\]; it should be a list with at least 1 of them"),
        ("corpus.families=[x]", r"corpus.families is \['x'\]; it should be a mapping such as"),
        ("training=5", "training is 5; it should be a section: a mapping such as"),
        ("name=../x", "name is '../x'; it should be letters from a to z, digits, .* a letter or digit first"),
        ("name=" + "x " * 100, r"\.\.\.; it should be letters from a to z"),
    ],
)
def test_plain_words_for_wrong_values(tmp_path: Path, override: str, message: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=message):
        Recipe.load(tmp_path / "recipe.yaml", [override])


def mutated(data: st.DataObject, content: bytes) -> bytes:
    kind = data.draw(st.sampled_from(["cut", "flip", "insert", "repeat"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:place]
    if kind == "flip":
        return content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    if kind == "insert":
        return content[:place] + data.draw(st.binary(min_size=1, max_size=8)) + content[place:]
    return content[:place] + content[place : place + 9] * data.draw(st.integers(2, 3000)) + content[place:]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_recipes_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(mutated(data, RECIPE.encode()))
    try:
        Recipe.load(path)
    except RecipeError as error:
        assert str(path) in str(error)


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_any_override_is_read_or_refused(text: str) -> None:
    try:
        parse_override(text)
    except RecipeError as error:
        assert "--set" in str(error)
