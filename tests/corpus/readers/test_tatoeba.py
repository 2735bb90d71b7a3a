"""The reader of the Tatoeba challenge's test sets."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row


def write(path: Path, *lines: str) -> Path:
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


def test_lines_by_the_languages_of_their_columns(tmp_path: Path) -> None:
    write(tmp_path / "tatoeba-test-v2021-08-07.deu-eng.txt.gz", "deu\teng\tHallo!\tHello!", "eng\tdeu\tBye.\tTschüss.")
    write(
        tmp_path / "tatoeba-test-v2021-08-07.eng-zho.txt.gz",
        "eng\tcmn_Hans\tHello!\t你好！",
        "eng\tcmn_Hant\tThanks.\t謝謝。",
        "eng\tyue_Hant\tThanks.\t唔該。",
        "eng\teng\tHi.\tHello.",
    )
    counts = ReadCounts()
    rows = read_source({"reader": "tatoeba", "path": tmp_path}, ["de", "zh"], counts)
    assert rows == [
        Row({"de": "Hallo!", "en": "Hello!"}, "tatoeba-test-v2021-08-07.deu-eng.txt.gz:1"),
        Row({"en": "Bye.", "de": "Tschüss."}, "tatoeba-test-v2021-08-07.deu-eng.txt.gz:2"),
        Row({"en": "Hello!", "zh": "你好！"}, "tatoeba-test-v2021-08-07.eng-zho.txt.gz:1"),
    ]
    assert list(counts.sources.values()) == [2, 4]
    assert counts.skipped == {
        "cmn_Hant": {"language that isn't asked for": 1},
        "yue_Hant": {"language that isn't asked for": 1},
        "en": {"both texts in this language": 1},
    }


def test_other_files_and_missing_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "test.txt.gz", "deu\teng\tHallo!\tHello!", "Hallo!\tHello!")
    with pytest.raises(CorpusError, match=r"test.txt.gz:2: 2 cells, expected 4"):
        read_source({"reader": "tatoeba", "path": path}, ["de"])
    write(path, "deu\teng\tHallo!\tHello!")
    with pytest.raises(CorpusError, match="no text of fr; languages there: deu, eng"):
        read_source({"reader": "tatoeba", "path": path}, ["de", "fr"])


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    counts = ReadCounts()
    path = write(tmp_path / "test.txt.gz", "", "deu\teng\tHallo!\tHello!", " ")
    assert [row.origin for row in read_source({"reader": "tatoeba", "path": path}, ["de"], counts)] == ["test.txt.gz:2"]
    assert counts.sources == {"test.txt.gz": 1}
