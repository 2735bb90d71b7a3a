"""The reader of multi-parallel tables."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings


def rows_of(path: Path, languages: list[str], **more: Any) -> list[Row]:
    corpus = CorpusSettings.model_validate({"train": {"reader": "tsv", "path": path}, "languages": languages} | more)
    return [row for block in read_rows(corpus, ReadCounts()) for row in block]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_cells_and_origins(tmp_path: Path) -> None:
    train = write(tmp_path / "train.tsv", 'id\ten\tde\tfr\n1\ta "b\t\tc\n2\tx\ty\tz\n')
    test = tmp_path / "test.tsv.xz"
    test.write_bytes(lzma.compress(b"fr\ten\tde\nun\tone\teins\n"))
    counts = ReadCounts()
    sources = {split: {"reader": "tsv", "path": path} for split, path in {"train": train, "test": test}.items()}
    corpus = CorpusSettings.model_validate(sources | {"languages": ["de"]})
    rows = [row for block in read_rows(corpus, counts) for row in block]
    assert rows == [
        Row({"en": 'a "b'}, "train.tsv:2", "train"),
        Row({"en": "x", "de": "y"}, "train.tsv:3", "train"),
        Row({"en": "one", "de": "eins"}, "test.tsv.xz:2", "test"),
    ]
    assert counts.sources == {"train.tsv": 2, "test.tsv.xz": 1}


def test_other_spellings_of_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "eng_Latn\tdeu\tunknown thing\nHi\tHallo\t?\n")
    assert rows_of(path, ["de"]) == [Row({"en": "Hi", "de": "Hallo"}, "a.tsv:2", "train")]


def test_wrong_number_of_cells(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.tsv", "en\tde\nHi\tHallo\nonly one\n")
    with pytest.raises(CorpusError, match=r"bad\.tsv:3: 1 cells, expected 2"):
        rows_of(path, ["de"])


def test_a_language_without_a_column(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.tsv", "id\ten\tde\n")
    with pytest.raises(CorpusError, match=r"bad\.tsv:1: .* no column for fr, it; it has: id, en, de"):
        rows_of(path, ["de", "fr", "it"])


def test_a_language_with_two_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.tsv", "en\tde\tdeu_Latn\n")
    with pytest.raises(CorpusError, match="columns 2 and 3 are both 'de'"):
        rows_of(path, ["de"])


def test_a_table_without_tabs(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"bad\.tsv:1: there is no tab .*'en;de'; use the reader csv"):
        rows_of(write(tmp_path / "bad.tsv", "en;de\na;b\n"), ["de"])


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="first line is empty"):
        rows_of(write(tmp_path / "empty.tsv", ""), ["de"])


def test_only_languages_that_a_direction_uses(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "de\tfr\nHallo\tSalut\n")
    rows = rows_of(path, ["de", "fr", "it"], directions=["de-fr"])
    assert rows == [Row({"de": "Hallo", "fr": "Salut"}, "a.tsv:2", "train")]


@pytest.mark.parametrize(
    ("header", "languages", "texts"),
    [
        ("EN\tdeu_Latn", ["de"], {"en": "a", "de": "b"}),
        ("en-US\tpt-BR", ["pt-BR"], {"en": "a", "pt_BR": "b"}),
        ("eng_Latn\tzho_Hant", ["zh-TW"], {"en": "a", "zh_Hant": "b"}),
        ("en\tde", ["deu_Latn"], {"en": "a", "deu_Latn": "b"}),
        ("en\tpt\tpt_BR", ["pt"], {"en": "a", "pt": "b"}),
        ("en\tde_AT\tde", ["de"], {"en": "a", "de": "c"}),
    ],
)
def test_columns_in_any_spelling_have_the_names_of_the_recipe(
    tmp_path: Path, header: str, languages: list[str], texts: dict[str, str]
) -> None:
    cells = "\t".join("abc"[: header.count("\t") + 1])
    path = write(tmp_path / "t.tsv", f"{header}\n{cells}\n")
    assert [row.texts for row in rows_of(path, languages)] == [texts]


@pytest.mark.parametrize(
    ("header", "languages", "message"),
    [
        ("en\tzh_Hant", ["zh"], "no column for zh"),
        ("en\tpt", ["pt_BR", "pt_PT"], "no column for pt_BR, pt_PT"),
        ("en\tes-MX\tes-AR", ["es"], "columns 2 and 3 are both 'es'"),
    ],
)
def test_columns_that_fit_no_language_or_two(tmp_path: Path, header: str, languages: list[str], message: str) -> None:
    path = write(tmp_path / "t.tsv", header + "\n")
    with pytest.raises(CorpusError, match=message):
        rows_of(path, languages)


@pytest.mark.parametrize("path", ["text", "text/*.tsv*", "text/**/*.tsv*"])
def test_a_folder_or_a_pattern_means_all_tables(tmp_path: Path, path: str) -> None:
    (tmp_path / "text/.hidden").mkdir(parents=True)
    write(tmp_path / "text/b.tsv", "en\tde\nHi\tHallo\n")
    write(tmp_path / "text/notes.txt", "no table")
    (tmp_path / "text/a.tsv.xz").write_bytes(lzma.compress(b"de\ten\nJa\tYes\n"))
    assert rows_of(tmp_path / path, ["de"]) == [
        Row({"en": "Yes", "de": "Ja"}, "a.tsv.xz:2", "train"),
        Row({"en": "Hi", "de": "Hallo"}, "b.tsv:2", "train"),
    ]


def test_tables_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "a.tsv", "en\tde\nHi\tHallo\n")
    assert [row.origin for row in rows_of(tmp_path, ["de"])] == ["one/a.tsv:2", "two/a.tsv:2"]


@pytest.mark.parametrize(
    ("path", "message"), [(".", "no file in it ends with .tsv"), ("*.tsv", "no such file or folder")]
)
def test_no_table_at_all(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        rows_of(tmp_path / path, ["de"])
    context = {"folder": tmp_path, "check_files": True}
    with pytest.raises(ValidationError, match=message):
        CorpusSettings.model_validate({"train": {"reader": "tsv", "path": path}, "languages": ["de"]}, context=context)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "en\tde\n\na\tb\n  \n\nc\td\r\n\n")
    assert rows_of(path, ["de"]) == [
        Row({"en": "a", "de": "b"}, "a.tsv:3", "train"),
        Row({"en": "c", "de": "d"}, "a.tsv:6", "train"),
    ]
    write(path, "en\tde\n" + "\n" * 5000 + "a\tb\n")
    assert rows_of(path, ["de"]) == [Row({"en": "a", "de": "b"}, "a.tsv:5002", "train")]


def test_lines_keep_their_numbers_in_long_tables(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "en\tde\n" + "a\tb\n" * 9000 + "a\n")
    with pytest.raises(CorpusError, match=r"a.tsv:9002: 1 cells"):
        rows_of(path, ["de"])
    write(path, "en\tde\n" + "a\tb\n" * 9000)
    assert [row.origin for row in rows_of(path, ["de"])] == [f"a.tsv:{line}" for line in range(2, 9002)]
