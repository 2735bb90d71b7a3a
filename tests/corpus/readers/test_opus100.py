"""The reader of OPUS-100."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.prepared import prepare_recipe
from tests.helpers.sources import read_source

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import Row
from neuronspec.corpus.store import TokenStore
from neuronspec.recipe import Recipe


def write(root: Path, kind: str, pair: str, part: str, **texts: str) -> None:
    folder = root / "v1.0" / kind / pair
    folder.mkdir(parents=True, exist_ok=True)
    for code, text in texts.items():
        (folder / f"opus.{pair}-{part}.{code}").write_text(text, encoding="utf-8")


def test_parts_and_zero_shot_pairs(tmp_path: Path) -> None:
    write(tmp_path, "supervised", "de-en", "train", de="Ja\nNein\n", en="Yes\nNo\n")
    write(tmp_path, "supervised", "de-en", "dev", de="Bitte\n", en="Please\n")
    write(tmp_path, "supervised", "en-fr", "train", en="Yes\n", fr="Oui\n")
    write(tmp_path, "zero-shot", "de-fr", "test", de="Danke\n", fr="Merci\n")
    source = {"reader": "opus100", "path": tmp_path}
    assert read_source(source | {"part": "train"}, ["de", "fra_Latn"]) == [
        Row({"de": "Ja", "en": "Yes"}, "train.de-en:1"),
        Row({"de": "Nein", "en": "No"}, "train.de-en:2"),
        Row({"en": "Yes", "fra_Latn": "Oui"}, "train.en-fr:1"),
    ]
    assert [row.texts for row in read_source(source | {"part": "dev"}, ["de"])] == [{"de": "Bitte", "en": "Please"}]
    (row,) = read_source(source | {"part": "test"}, ["de", "fr"], directions=["de-fr"])
    assert row == Row({"de": "Danke", "fr": "Merci"}, "test.de-fr:1")


def test_missing_pairs_and_unequal_files(tmp_path: Path) -> None:
    write(tmp_path, "supervised", "de-en", "train", de="Ja\nNein\n", en="Yes\n")
    source = {"reader": "opus100", "path": tmp_path}
    with pytest.raises(CorpusError, match=r"no files of en-fr for 'train'; pairs there: de-en"):
        read_source(source | {"part": "train"}, ["de", "fr"])
    with pytest.raises(CorpusError, match=r"no files of de-en for 'test'; pairs there: none; .*/opus.de-en-test.de"):
        read_source(source | {"part": "test"}, ["de"])
    with pytest.raises(CorpusError, match=r"opus.de-en-train.de has 2 lines; .* has 1 lines"):
        read_source(source | {"part": "train"}, ["de"])
    write(tmp_path, "copy", "de-en", "train", de="Ja\n", en="Yes\n")
    with pytest.raises(CorpusError, match=r"two files for de: .*copy.* and .*supervised.*keep one"):
        read_source(source | {"part": "train"}, ["de"])


def test_tests_of_zero_shot_pairs_are_read(tmp_path: Path) -> None:
    for part in ("train", "dev", "test"):
        for number, code in enumerate(("de", "fr")):
            pair = "-".join(sorted((code, "en")))
            lines = [f"{part} {word} {code}" for word in ("one", "two", "three", "four")[number:]]
            write(tmp_path, "supervised", pair, part, **{code: "\n".join(lines) + "\n", "en": "\n".join(lines) + "\n"})
    write(tmp_path, "zero-shot", "de-fr", "test", de="Danke schön\n", fr="Merci bien\n")
    values = {"name": "t", "training": {"updates": 1}, "continuation": {"updates": 1}, "tokenizer": {"vocabulary": 130}}
    sources = {split: {"reader": "opus100", "path": tmp_path, "part": part}
               for split, part in (("train", "train"), ("valid", "dev"), ("test", "test"))}  # fmt: skip
    recipe = Recipe.model_validate(
        values | {"corpus": {**sources, "languages": ["de", "fr"], "workers": 1}, "evaluation": {"zero_shot": "all"}}
    )
    prepare_recipe(recipe, tmp_path / "data")
    pairs = TokenStore.open(tmp_path / "data").pairs("test", Direction("de", "fr"))
    assert (pairs.source_texts(), pairs.references()) == (["Danke schön"], ["Merci bien"])
