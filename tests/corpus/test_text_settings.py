"""Moses' punctuation, SentencePiece's normalisation and a ready tokenizer: text is the same in training and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.prepared import prepare_recipe

from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError
from neuronspec.corpus.store import TokenStore
from neuronspec.models.text_format import TextFormat
from neuronspec.recipe import Recipe
from neuronspec.runs.tasks import tasks_of
from neuronspec.translation.sources import prepare_sources

EN_DE = Direction("en", "de")
QUOTED = ("“Two”  words … ", "„Zwei“  Wörter – hier")


def write(folder: Path) -> Path:
    words = [first + last for first in ("ba", "ne", "ti", "ro", "lu", "ka") for last in ("ster", "ling", "mond", "quo")]
    rows = [(f"the {words[n % 24]} {n} {words[n % 7]}", f"das {words[n % 24]} {n} {words[n % 5]}") for n in range(60)]
    (folder / "train.tsv").write_text("en\tde\n" + "".join(f"{en}\t{de}\n" for en, de in rows), encoding="utf-8")
    for split in ("valid", "test"):
        (folder / f"{split}.tsv").write_text("en\tde\n{}\t{}\n".format(*QUOTED), encoding="utf-8")
    return folder


def recipe(folder: Path, cleaning: dict[str, Any] | None = None, **tokenizer: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "t",
            "corpus": {
                **{split: {"reader": "tsv", "path": str(folder / f"{split}.tsv")}
                   for split in ("train", "valid", "test")},
                "languages": ["de"], "cleaning": cleaning or {}, "workers": 1,
            },
            "tokenizer": tokenizer or {"vocabulary": 130},
            "training": {"updates": 1}, "continuation": {"updates": 1},
        }
    )  # fmt: skip


def assert_translated_as_trained(store: TokenStore) -> None:
    """A raw text gets the ids that the store has of it."""
    stored = store.pairs("test", EN_DE).tokens(0)[0].tolist()
    prepared = prepare_sources(TextFormat.of(store.tokenizer), [QUOTED[0]], None, "error", EN_DE)
    assert [part.ids for part in prepared.parts] == [stored]


def test_punctuation_as_moses(tmp_path: Path) -> None:
    pytest.importorskip("sacremoses", reason="punctuation is normalised by sacremoses")
    prepare_recipe(recipe(write(tmp_path), {"normalize_punctuation": True}), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    pairs = store.pairs("test", EN_DE)
    assert pairs.source_texts() == ['"Two" words ...']
    assert pairs.target_texts() == ['"Zwei" Wörter - hier']
    assert pairs.references() == [QUOTED[1]], "references are scored as they were read"
    assert json.loads((tmp_path / "data" / "corpus.json").read_text())["cells"]["test"]["de"]["punctuation"] == 1
    assert_translated_as_trained(store)


def test_without_the_key_punctuation_stays(tmp_path: Path) -> None:
    prepare_recipe(recipe(write(tmp_path)), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    assert store.pairs("test", EN_DE).source_texts() == ["“Two” words …"]
    assert "neuronspec_cleaning" not in json.loads(
        (tmp_path / "data" / "tokenizer" / "tokenizer_config.json").read_text()
    )
    assert_translated_as_trained(store)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_tokenizer_that_normalises(tmp_path: Path, kind: str) -> None:
    prepare_recipe(recipe(write(tmp_path), type=kind, vocabulary=100, normalization="nmt_nfkc_cf"), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    source, target = store.pairs("test", EN_DE).tokens(0)
    assert store.tokenizer.decode(source).replace(" ", "") == "“two”words..."
    assert store.tokenizer.decode(target).replace(" ", "").startswith("„zwei“w")
    assert_translated_as_trained(store)


def test_a_unigram_tokenizer_gets_cleaned_text(tmp_path: Path) -> None:
    prepare_recipe(recipe(write(tmp_path), type="unigram", vocabulary=110), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    text_format = TextFormat.of(store.tokenizer)
    assert text_format.cleaning == "neuronspec"
    composed, apart = ("W\u00f6rter hier", "Wo\u0308rter\u200b hier")
    one, other = (prepare_sources(text_format, [text], None, "error", EN_DE).parts[0].ids for text in (composed, apart))
    assert one == other


def test_a_ready_tokenizer_and_its_content_count(tmp_path: Path) -> None:
    first = recipe(write(tmp_path))
    prepare_recipe(first, tmp_path / "data")
    again = recipe(tmp_path, path=str(tmp_path / "data" / "tokenizer"))
    prepare_recipe(again, tmp_path / "again")
    one, other = (TokenStore.open(tmp_path / name).pairs("train", EN_DE) for name in ("data", "again"))
    assert [one.tokens(i)[0].tolist() for i in range(5)] == [other.tokens(i)[0].tolist() for i in range(5)]
    assert json.loads((tmp_path / "again" / "corpus.json").read_text())["tokenizer"]["type"] == "ready"
    stamp = tasks_of(again)[0].settings["ready_tokenizer"]
    (tmp_path / "data" / "tokenizer" / "tokenizer.json").write_text("{}")
    assert tasks_of(again)[0].settings["ready_tokenizer"] not in (None, stamp)
    assert "ready_tokenizer" not in tasks_of(first)[0].settings


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path) / "recipe.yaml"
    path.write_text(
        "name: t\ncorpus: {train: {reader: tsv, path: train.tsv}, languages: [de]}\ntokenizer: {path: no.model}\n"
        "training: {updates: 1}\ncontinuation: {updates: 1}\n"
    )
    with pytest.raises(RecipeError, match=r"recipe\.yaml:3.*no such file or folder: .*no\.model"):
        Recipe.load(path)
