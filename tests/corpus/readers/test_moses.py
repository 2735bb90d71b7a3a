"""The reader of line-aligned files."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings


def corpus_of(pattern: Path, languages: list[str], **more: Any) -> CorpusSettings:
    train = {"reader": "moses", "path": str(pattern)}
    return CorpusSettings.model_validate({"train": train, "languages": languages} | more)


def rows_of(pattern: Path, languages: list[str], **more: Any) -> list[Row]:
    return [row for block in read_rows(corpus_of(pattern, languages, **more), ReadCounts()) for row in block]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".").replace("_", "-")).write_text(text, encoding="utf-8")


def test_pairs_in_either_order(tmp_path: Path) -> None:
    write(tmp_path, train__en_de__en="a\nb\n", train__en_de__de="A\n\n", train__fr_en__en="c\n", train__fr_en__fr="C\n")
    assert rows_of(tmp_path / "train.{pair}.{lang}", ["de", "fr"]) == [
        Row({"de": "A", "en": "a"}, "train.en-de:1", "train"),
        Row({"en": "b"}, "train.en-de:2", "train"),
        Row({"en": "c", "fr": "C"}, "train.fr-en:1", "train"),
    ]


def test_all_pairs_of_the_directions(tmp_path: Path) -> None:
    write(tmp_path, train__de_fr__de="A\n", train__de_fr__fr="B\n")
    rows = rows_of(tmp_path / "train.{pair}.{lang}", ["de", "fr"], directions=["fr-de", "de-fr"])
    assert rows == [Row({"de": "A", "fr": "B"}, "train.de-fr:1", "train")]


def test_multi_parallel_without_pair(tmp_path: Path) -> None:
    write(tmp_path, dev__en="a\n", dev__de="b\n", dev__fr="c\n", t__en="x\n", t__de="y\n", t__fr="z\n")
    rows = rows_of(tmp_path / "t.{lang}", ["de", "fr"], valid=str(tmp_path / "dev.{lang}"))
    assert rows == [
        Row({"en": "x", "de": "y", "fr": "z"}, "t:1", "train"),
        Row({"en": "a", "de": "b", "fr": "c"}, "dev:1", "valid"),
    ]


def test_different_line_counts_give_both_files_and_counts_before_any_row(tmp_path: Path) -> None:
    write(tmp_path, t__de_en__en="a\nb\nc\n", t__de_en__de="A\n", t__en_fr__en="a\n", t__en_fr__fr="b\n")
    corpus = corpus_of(tmp_path / "t.{pair}.{lang}", ["fr", "de"])
    with pytest.raises(CorpusError, match=r"t\.de-en\.de has 1 lines; .*t\.de-en\.en has 3 lines") as caught:
        next(read_rows(corpus, ReadCounts()))
    assert "fr" not in str(caught.value).replace("different", "")


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    write(tmp_path, t__de_en__en="a\n", t__de_en__de="A\n")
    with pytest.raises(CorpusError) as caught:
        rows_of(tmp_path / "t.{pair}.{lang}", ["de", "fr", "it"])
    message = str(caught.value)
    assert all(name in message for name in ("t.en-fr.fr", "t.fr-en.fr", "t.en-it.en")) and "de-en" not in message


def test_two_sets_of_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, t__de_en__en="a\n", t__de_en__de="A\n", t__en_de__en="b\n", t__en_de__de="B\n")
    with pytest.raises(CorpusError, match="two sets of files for de and en"):
        rows_of(tmp_path / "t.{pair}.{lang}", ["de"])


@pytest.mark.parametrize("languages", [["de"], ["deu_Latn"], ["DE"]])
def test_names_in_another_spelling(tmp_path: Path, languages: list[str]) -> None:
    write(tmp_path, train__eng__deu__eng="a\n", train__eng__deu__deu="A\n")
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace(".deu.", "-deu.").replace("eng-", "eng_Latn-")))
    (row,) = rows_of(tmp_path / "train.{pair}.{lang}", languages)
    assert row.texts == {"en": "a", languages[0]: "A"}


def test_names_of_single_files_in_another_spelling(tmp_path: Path) -> None:
    write(tmp_path, en_US__txt="a\n", por_BR__txt="A\n")
    (row,) = rows_of(tmp_path / "{lang}.txt", ["pt-BR"])
    assert row.texts == {"en": "a", "pt_BR": "A"}
    write(tmp_path, en_GB__txt="b\n")
    with pytest.raises(CorpusError, match="two files for en"):
        rows_of(tmp_path / "{lang}.txt", ["pt-BR"])


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("gz", gzip.compress),
        ("xz", lzma.compress),
        ("zst", lambda text: pa.compress(text, codec="zstd", asbytes=True)),
    ],
)
def test_compressed_files(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / f"t.de-en.de.{ending}").write_bytes(pack("Käse\n".encode()))
    (tmp_path / f"t.de-en.en.{ending}").write_bytes(pack(b"cheese\n"))
    (row,) = rows_of(tmp_path / f"t.{{pair}}.{{lang}}.{ending}", ["de"])
    assert row.texts == {"en": "cheese", "de": "Käse"}


def opus(path: Path, **members: str) -> None:
    """An archive as OPUS ships them, with what else is in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "Corpus Name: Books\n")
        archive.writestr("LICENSE", "see the README\n")
        for language, text in members.items():
            archive.writestr(f"Books.{path.name.partition('.')[0]}.{language}", text)


def test_archives_of_opus(tmp_path: Path) -> None:
    opus(tmp_path / "de-en.txt.zip", de="Ja\nNein\n", en="Yes\nNo\n", ids="1\n2\n")
    opus(tmp_path / "en-fr.txt.zip", en="Perhaps\n", fr="Peut-être\n")
    pattern = tmp_path / "{pair}.txt.zip/Books.{pair}.{lang}"
    assert rows_of(pattern, ["de", "fr"]) == [
        Row({"de": "Ja", "en": "Yes"}, "Books.de-en:1", "train"),
        Row({"de": "Nein", "en": "No"}, "Books.de-en:2", "train"),
        Row({"en": "Perhaps", "fr": "Peut-être"}, "Books.en-fr:1", "train"),
    ]
    source = corpus_of(pattern, ["deu_Latn", "fra"]).train
    assert {Path(path).name for path in source.inputs()} == {"de-en.txt.zip", "en-fr.txt.zip"}
    assert next(row.texts for row in rows_of(pattern, ["deu_Latn"])) == {"deu_Latn": "Ja", "en": "Yes"}


def test_signs_of_patterns_in_the_name_of_a_folder_stand_for_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "text [v2] *?"
    folder.mkdir()
    write(folder, train__en_de__en="a\n", train__en_de__de="A\n")
    opus(folder / "de-en.txt.zip", de="Ja\n", en="Yes\n")
    with zipfile.ZipFile(folder / "de-en.zip", "w") as archive:
        archive.writestr("a [v2]/text.de", "Ja\n")
        archive.writestr("a [v2]/text.en", "Yes\n")
    source = corpus_of(folder / "train.{pair}.{lang}", ["de"]).train
    assert {Path(path).name for path in source.inputs()} == {"train.en-de.de", "train.en-de.en"}
    assert len(rows_of(folder / "train.{pair}.{lang}", ["deu_Latn"])) == 1, "names in another spelling"
    source = corpus_of(folder / "{pair}.txt.zip/Books.{pair}.{lang}", ["de"]).train
    assert {Path(path).name for path in source.inputs()} == {"de-en.txt.zip"}
    assert len(rows_of(folder / "{pair}.zip/a [v2]/text.{lang}", ["deu_Latn"])) == 1


def test_archives_without_the_files_or_with_unequal_ones(tmp_path: Path) -> None:
    opus(tmp_path / "de-en.txt.zip", de="Ja\nNein\n", en="Yes\n")
    with pytest.raises(CorpusError, match=r"Books.de-en.de has 2 lines; .*Books.de-en.en has 1 lines"):
        rows_of(tmp_path / "{pair}.txt.zip/Books.{pair}.{lang}", ["de"])
    with pytest.raises(CorpusError, match=r"no such files.*\n.*de-en.txt.zip/Bibles.de-en.de"):
        rows_of(tmp_path / "{pair}.txt.zip/Bibles.{pair}.{lang}", ["de"])
    with pytest.raises(CorpusError, match=r"no such files.*\n.*en-it.txt.zip/Books.en-it.en"):
        rows_of(tmp_path / "{pair}.txt.zip/Books.{pair}.{lang}", ["it"])
