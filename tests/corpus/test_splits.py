"""Splits by the pivot sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.corpus.readers.rows import SPLITS, Row, in_columns
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.splits import Splitter, sentence_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Page 3 of %(total)d", "page of"),
        ("page 12 of {n}.", "page of"),
        ("<b>Save</b> changes…", "save changes"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("हिन्दी में", "हिन्दी में"),
        ("中文，测试。", "中文 测试"),
        ("${day}.${month}", "${day}.${month}"),
        ("12:30", "12:30"),
    ],
)
def test_keys(text: str, key: str) -> None:
    assert sentence_key(text) == key


CORPUS = CorpusSettings.model_validate(
    {"train": {"reader": "catalogs"}, "languages": ["de", "fr"], "test_share": 0.2, "valid_share": 0.1}
)


def split_of(splitter: Splitter, row: Row) -> str:
    """The split of a row, as the first pass draws it."""
    (rows,) = in_columns(iter([row]), list(row.texts), "train")
    pivot = row.texts.get(splitter.pivot)
    leading = pivot or next(iter(row.texts.values()), "")
    (place,) = splitter.splits_of(replace(rows, split=row.split), [sentence_key(pivot) if pivot else ""], [leading])
    return SPLITS[place]


@given(st.text(min_size=1), st.text(), st.text())
def test_a_sentence_has_one_split_whatever_the_languages_and_the_place(pivot: str, de: str, fr: str) -> None:
    splitter = Splitter.of(CORPUS, seed=3)
    places = {
        split_of(splitter, Row({"en": pivot, "de": de}, "a:1")),
        split_of(splitter, Row({"en": pivot, "fr": fr}, "b:2")),
        split_of(splitter, Row({"en": pivot + " 7", "de": de, "fr": fr}, "c:3", "train")),
    }
    if sentence_key(pivot) == sentence_key(pivot + " 7"):
        assert len(places) == 1


def test_shares_and_seeds() -> None:
    sentences = [f"sentence {'abcdefghij'[i % 10] * (i // 10 + 1)}" for i in range(3000)]
    splits = [[split_of(Splitter.of(CORPUS, seed), Row({"en": s}, "")) for s in sentences] for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]
    assert abs(splits[0].count("test") / 3000 - 0.2) < 0.03
    assert abs(splits[0].count("valid") / 3000 - 0.1) < 0.03


def test_golden_splits() -> None:
    splitter = Splitter.of(CORPUS, seed=1)
    drawn = [
        split_of(splitter, Row({"en": text}, "")) for text in ("one", "two", "three", "four", "five", "six", "ten")
    ]
    # A changed draw would put sentences of earlier test sets into training.
    assert drawn == ["train", "train", "test", "train", "train", "test", "train"]


def test_splits_with_files_are_not_drawn(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.touch()
    source = {"reader": "tsv", "path": table}
    corpus = CorpusSettings.model_validate({"train": source, "test": source, "languages": ["de"], "valid_share": 0.5})
    splitter = Splitter.of(corpus, 1)
    rows = [Row({"en": "x" * n}, "", "train") for n in range(1, 300)]
    assert {split_of(splitter, row) for row in rows} == {"train", "valid"}
    assert split_of(splitter, Row({"en": "x"}, "", "test")) == "test"
    assert split_of(splitter, Row({"en": "x"}, "", "valid")) == "valid"


def test_rows_without_pivot_are_drawn_by_their_first_text() -> None:
    splitter = Splitter.of(CORPUS, 1)
    splits = {split_of(splitter, Row({"de": f"gleich {n}", "fr": "pareil"}, "file:1")) for n in range(100)}
    assert splits == {"train", "valid", "test"}
