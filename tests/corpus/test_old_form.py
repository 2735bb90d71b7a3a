"""Recipes, run folders and --set of the form before sources."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.core.errors import RecipeError
from neuronspec.corpus.old_form import _warn, from_old_form, to_old_form
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.recipe import Recipe

OLD_AND_NEW: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"reader": "tsv", "train": "a.tsv", "test": "b.tsv", "languages": ["de"]},
        {"train": {"reader": "tsv", "path": "a.tsv"}, "test": {"reader": "tsv", "path": "b.tsv"}, "languages": ["de"]},
    ),
    (
        {"reader": "moses", "train": "t.{pair}.{lang}", "valid": "v.{lang}"},
        {"train": {"reader": "moses", "path": "t.{pair}.{lang}"}, "valid": {"reader": "moses", "path": "v.{lang}"}},
    ),
    ({"reader": "catalogs", "pivot": "en"}, {"train": {"reader": "catalogs"}, "pivot": "en"}),
    (
        {"reader": "catalogs", "packages": ["django"], "folder": "po", "max_characters": 80},
        {"train": {"reader": "catalogs", "packages": ["django"], "path": "po", "max_characters": 80}},
    ),
]


@pytest.fixture(autouse=True)
def warned_of_nothing() -> None:
    """The warning comes once in a process."""
    _warn.cache_clear()


@pytest.mark.parametrize(("old", "new"), OLD_AND_NEW)
def test_there_and_back(old: dict[str, Any], new: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert from_old_form(old) == new
    assert (
        len(caplog.messages) == 1 and f"{{reader: {old['reader']}, ...}} is the form of recipes before" in caplog.text
    )
    assert to_old_form(new) == old


@pytest.mark.parametrize("new", [new for _, new in OLD_AND_NEW])
def test_the_form_of_today_is_left_alone(new: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert from_old_form(new) is new and not caplog.messages


def test_what_the_old_form_cannot_say_stays() -> None:
    mixed = {"train": {"reader": "tsv", "path": "a"}, "test": {"reader": "moses", "path": "b.{lang}"}}
    assert to_old_form(mixed) == mixed
    plugin = {"train": {"reader": "mine", "path": "a"}}
    assert to_old_form(plugin) == plugin


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_anything_else_is_left_to_validation(value: Any) -> None:
    assert from_old_form(value) == value or {"reader", "packages", "folder", "train", "valid", "test"} & set(value)


RECIPE = """\
name: trial
corpus: {reader: tsv, train: old.tsv, languages: [de]}
training: {updates: 1}
continuation: {updates: 1}
"""
TODAY = RECIPE.replace("reader: tsv, train: old.tsv", "train: {reader: tsv, path: old.tsv}")


@pytest.mark.parametrize("text", [RECIPE, TODAY])
@pytest.mark.parametrize(
    ("overrides", "train", "test"),
    [
        ([], "old.tsv", None),
        (["corpus.train=new.tsv"], "new.tsv", None),
        (["corpus.train=new.tsv", "corpus.test=test.tsv"], "new.tsv", "test.tsv"),
        (["corpus.test={reader: tsv, path: test.tsv}"], "old.tsv", "test.tsv"),
    ],
)
def test_both_forms_take_both_kinds_of_override(
    tmp_path: Path, text: str, overrides: list[str], train: str, test: str | None
) -> None:
    for name in ("old.tsv", "new.tsv", "test.tsv"):
        (tmp_path / name).touch()
    (tmp_path / "recipe.yaml").write_text(text)
    corpus = Recipe.load(tmp_path / "recipe.yaml", overrides).corpus
    found = {split: source.model_dump(exclude_unset=True) for split, (source,) in corpus.sources.items()}
    expected = {"train": {"reader": "tsv", "path": tmp_path / train}}
    assert found == (expected | {"test": {"reader": "tsv", "path": tmp_path / test}} if test else expected)


@pytest.mark.parametrize("text", [RECIPE, TODAY])
def test_mistakes_in_both_forms_have_their_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"recipe.yaml:2: corpus.train.path: no such file or folder: .*old.tsv"):
        Recipe.load(tmp_path / "recipe.yaml")


def test_a_section_given_in_python(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    corpus = CorpusSettings.model_validate({"reader": "catalogs", "folder": "po", "languages": ["de"]})
    assert corpus.sources["train"][0].model_dump(exclude_none=True)["path"] == Path("po")
    assert "before 0.2" in caplog.text
