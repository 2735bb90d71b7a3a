"""Glossaries: which terms are missing in translations, and where that is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.helpers.marking import Marking

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError
from neuronspec.deploy.documents.document import Options, translate_document

EN_DE = Direction("en", "de")


def glossary(folder: Path, content: str, direction: str = "en-de") -> ns.Glossary:
    (folder / "terms.tsv").write_text(content, encoding="utf-8")
    return ns.Glossary(folder / "terms.tsv", direction)


@pytest.mark.parametrize(
    ("source", "translation", "missing"),
    [
        ("Save the file", "Die Datei sichern", []),
        ("Save the FILE.", "Die DATEI sichern", []),
        ("Save the file", "Die Akte sichern", ["file"]),
        ("Save the file", "Die Dateien sichern", ["file"]),
        ("Save the files", "Die Akten sichern", []),
        ("a user  account and a file", "ein Konto", ["user account", "file"]),
        ("a user account", "ein Benutzerkonto", []),
        ("a user account", "ein Zugang", []),
        ("in C++ only", "nur in C", ["C++"]),
        ("cafe\u0301 here", "das Café", []),
        ("Straße", "STRASSE", []),
        ("a book", "यह किताब है", []),
        ("a book", "ये किताबें हैं", ["book"]),
    ],
)
def test_missing_terms(tmp_path: Path, source: str, translation: str, missing: list[str]) -> None:
    terms = "file\tDatei\nuser account\tBenutzerkonto\nuser account\tZugang\n\n"
    terms += "C++\tC++\ncafé\tCafé\nStraße\tStraße\nbook\tकिताब\n"
    known = glossary(tmp_path, terms)
    assert len(known) == 6
    assert [term for term, _ in known.missing(source, translation)] == missing


def test_scripts_without_spaces_are_compared_by_parts_of_words(tmp_path: Path) -> None:
    known = glossary(tmp_path, "\ufeffEN\tja\tde-DE\nfile\tファイル\tDatei\nview\t\tAnsicht\n", "en-ja")
    assert len(known) == 1
    assert known.missing("the file", "このファイルを保存") == [] and known.missing("the file", "保存")
    back = glossary(tmp_path, "en\tja\nfile\tファイル\n", "ja-en")
    assert back.missing("このファイルを保存", "save") == [("ファイル", ["file"])]
    assert back.missing("このファイルを保存", "save the file") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\tDatei\nview\n", r"terms.tsv:2: one column; a line has a term, a tab and its translation"),
        ("en\tfr\nfile\tfichier\n", r"terms.tsv:1: no columns for de among en, fr"),
        ("en\tde\tde\nfile\ta\tb\n", r"terms.tsv:1: several columns for de"),
    ],
)
def test_damaged_glossaries_give_one_message(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        glossary(tmp_path, content)
    (tmp_path / "terms.tsv").write_bytes(b"file\t\xff\n")
    with pytest.raises(CorpusError, match=r"terms.tsv:1: not valid UTF-8"):
        ns.Glossary(tmp_path / "terms.tsv", "en-de")
    with pytest.raises(PathError, match="none.tsv can't be read"):
        ns.Glossary(tmp_path / "none.tsv", "en-de")


def test_missing_terms_are_told_with_their_texts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    known = glossary(tmp_path, "file\tDatei\nfolder\tOrdner\nfolder\tVerzeichnis\n")
    (tmp_path / "a.txt").write_text("the file\nthe folder, " + "long " * 20 + "file\nnothing\nDatei file\n")
    translate_document(Marking(), EN_DE, str(tmp_path / "a.txt"), tmp_path / "b", Options(glossary=known))  # type: ignore[arg-type]
    name = tmp_path / "a.txt"
    assert caplog.messages == [
        f"{name}: 'the file': the translation has no 'Datei' for 'file'",
        f"{name}: 'the folder, long long long long long long long long long ...': the translation has no "
        "'Ordner' or 'Verzeichnis' for 'folder'; no 'Datei' for 'file'",
        "without terms of the glossary: 2",
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING, logging.INFO]


def test_first_terms_that_are_names_of_languages_are_terms(tmp_path: Path) -> None:
    known = glossary(tmp_path, "to\tzu\nfile\tDatei\n")
    assert known.missing("to the file", "Datei") == [("to", ["zu"])]
    assert len(glossary(tmp_path, "en-GB\tGerman\nfile\tDatei\n".replace("German", "de-AT"))) == 1


@pytest.mark.parametrize("content", ["", "en\tde\n", "\n\n", "file\t\n"])
def test_a_glossary_without_terms_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "terms.tsv").write_text(content)
    with pytest.raises(CorpusError, match="terms.tsv has no terms from en to de"):
        ns.Glossary(tmp_path / "terms.tsv", "en-de")
