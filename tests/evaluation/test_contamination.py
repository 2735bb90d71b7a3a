"""Test sentences in the training text, in a token store and in files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.helpers.prepared import prepare_recipe
from tests.helpers.synthetic import write_table

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, DirectionError
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.collect import check_overlap, read_overlap
from neuronspec.evaluation.contamination import store_overlap, text_overlap
from neuronspec.recipe import Recipe

EN_DE, DE_EN = Direction("en", "de"), Direction("de", "en")


def recipe(folder: Path, **changes: object) -> Recipe:
    """Training text of 300 rows, and a test of 20: 5 training rows, 3 with another source, 12 of their own."""
    train = write_table(folder / "train.tsv", rows=300, seed=1).read_text(encoding="utf-8").splitlines()
    fresh = write_table(folder / "test.tsv", rows=15, seed=2).read_text(encoding="utf-8").splitlines()
    half = [f"h{i}\tsunshine{i} rain\t" + train[20 + i].split("\t", 2)[2] for i in range(3)]
    lines = [fresh[0], *train[1:6], *half, *fresh[1:13]]
    (folder / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = {**{split: {"reader": "tsv", "path": folder / f"{'train' if split == 'train' else 'test'}.tsv"}
                for split in ("train", "valid", "test")}, "languages": ["de", "fr"],
              "cleaning": {"decontaminate": False}}  # fmt: skip
    return Recipe.model_validate(
        {"name": "x", "corpus": corpus, "tokenizer": {"vocabulary": 150}, "training": {"updates": 1},
         "continuation": {"updates": 1}, **changes}
    )  # fmt: skip


def prepared(folder: Path, **changes: object) -> TokenStore:
    prepare_recipe(recipe(folder, **changes), folder / "data")
    return TokenStore.open(folder / "data")


def test_overlap_is_counted_in_the_store_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = prepared(tmp_path)
    train, test = ((tmp_path / f"{name}.tsv").read_text(encoding="utf-8").splitlines() for name in ("train", "test"))
    known = {tuple(line.split("\t")[1:3]) for line in train}
    sources, targets = ({pair[side] for pair in known} for side in (0, 1))
    pairs = [line.split("\t")[1:3] for line in test[1:]]
    expected = {
        "source": sum(pair[0] in sources for pair in pairs),
        "target": sum(pair[1] in targets for pair in pairs),
        "either": sum(pair[0] in sources or pair[1] in targets for pair in pairs),
        "n": 20,
    }
    assert expected["source"] >= 5 and expected["target"] >= 8
    found = store_overlap(store, [EN_DE, DE_EN], None)
    assert found["en-de"] == expected
    assert found["de-en"] == expected | {"source": expected["target"], "target": expected["source"]}
    assert store_overlap(store, [EN_DE], 1)["en-de"]["n"] == 1
    with caplog.at_level(logging.WARNING, logger="neuronspec"):
        check_overlap(store, [EN_DE], None, tmp_path / "evaluation" / "copy")
    assert f"en-de: {expected['either']} of 20 test sentences are in the training text" in caplog.text
    assert read_overlap(tmp_path / "evaluation") == {"en-de": expected}
    assert json.loads((tmp_path / "evaluation" / "copy" / "overlap.json").read_text()) == {"en-de": expected}


def test_decontaminated_text_has_none(tmp_path: Path) -> None:
    clean = recipe(tmp_path).corpus.model_dump(mode="json") | {"cleaning": {"decontaminate": True}}
    store = prepared(tmp_path, corpus=clean)
    assert store_overlap(store, [EN_DE, DE_EN], None) == {}
    assert read_overlap(tmp_path) == {}


def test_overlap_of_files(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a  b\nc\n", encoding="utf-8")
    (tmp_path / "two").write_text("x\n", encoding="utf-8")
    found = text_overlap(["s", "c", "x"], ["a b", "q", "x"], [tmp_path / "one", tmp_path / "two"])
    assert (found.source, found.target, found.either, found.n) == (2, 2, 3, 3)
    assert text_overlap(None, ["a b", "q"], [tmp_path / "one"]).either == 1


def test_zero_shot_pairs_are_held_out_text_alone(tmp_path: Path) -> None:
    store = prepared(tmp_path, evaluation={"zero_shot": ["de-fr"]})
    pairs = store.pairs("test", "de-fr")
    assert len(pairs) == 20 and pairs.source_texts() == store.pairs("test", "de-en").source_texts()
    assert len(store.pairs("valid", "de-fr")) > 0
    with pytest.raises(DirectionError, match="no train text of de-fr"):
        store.pairs("train", "de-fr")
    assert "de-fr" not in map(str, store.directions("test")), "trained directions alone"
    report = json.loads((tmp_path / "data" / "corpus.json").read_text(encoding="utf-8"))
    assert report["zero_shot"]["de-fr"]["test"] == 20


def test_zero_shot_without_parallel_text_is_an_error(tmp_path: Path) -> None:
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(200)]
    lines = ["en\tde\tfr", *(f"one {w}\teins {w}\t" for w in words), *(f"two {w}\t\tdeux {w}" for w in words)]
    (tmp_path / "lone.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = {"train": {"reader": "tsv", "path": tmp_path / "lone.tsv"}, "languages": ["de", "fr"],
              "cleaning": {"decontaminate": False}}  # fmt: skip
    made = recipe(tmp_path).model_copy()
    lone = Recipe.model_validate(
        made.model_dump(mode="json") | {"corpus": corpus, "tokenizer": {"vocabulary": 110},
                                        "evaluation": {"zero_shot": ["de-fr"]}}
    )  # fmt: skip
    with pytest.raises(CorpusError, match=r"no test pair for the zero-shot directions de-fr.*multi-parallel"):
        prepare_recipe(lone, tmp_path / "data")
    assert not (tmp_path / "data").exists()
