"""Translating a folder of documents."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.deploy.documents.document import Options
from neuronspec.deploy.documents.folder import check_folder, translate_folder

EN_DE = Direction("en", "de")


class Marking:
    """Puts a mark before each line."""

    n_best = 1

    def __call__(self, texts: list[str], direction: str) -> list[str]:
        return [f"¡{text}" for text in texts]

    def translate(self, lines: list[str], direction: str) -> list[str]:
        found = Lines(f"¡{line}" for line in lines)
        found.nbest = [[(line, 0.0)] for line in found]
        return found


class Lines(list[str]):
    nbest: list[list[tuple[str, float]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    for name, text in (
        ("a.txt", "one\n"), ("sub/b.tsv", "two\n"), ("sub/c.rst", "three\n"), ("README", "four\n"),
        (".git/d.txt", "five\n"), ("sub/news.en", "six\n"),
    ):  # fmt: skip
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    return made


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def run(folder: Path, out: Path, kind: str | None = None, options: Options | None = None) -> None:
    options = options or Options()
    check_folder(folder, out, "en", kind, options)
    translate_folder(Marking(), EN_DE, folder, out, options, kind)  # type: ignore[arg-type]


def test_each_file_goes_to_its_place(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    before = content(folder)
    run(folder, tmp_path / "out")
    assert content(tmp_path / "out") == {"a.txt": "¡one\n", "sub/b.tsv": "two\t¡two\n", "sub/news.en": "¡six\n"}
    assert content(folder) == before
    assert any(
        "left 2 files of unknown formats" in line and "README" in line and "c.rst" in line for line in caplog.messages
    )


def test_what_is_there_stays(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("HUMAN\n")
    run(folder, tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "HUMAN\n"
    assert f"translated 2 files into {tmp_path / 'out'}; 1 were there already" in caplog.messages


def test_a_file_that_cannot_be_read_stops_no_other(folder: Path, tmp_path: Path) -> None:
    (folder / "0.txt").write_bytes(b"\xff\n")
    with pytest.raises(CorpusError, match=r"1 files of .* weren't translated:\n.*0.txt:1: not valid UTF-8"):
        run(folder, tmp_path / "out")
    assert sorted(content(tmp_path / "out")) == ["a.txt", "sub/b.tsv", "sub/news.en"]


def test_a_table_without_the_column_stops_no_other(folder: Path, tmp_path: Path) -> None:
    (folder / "0.csv").write_text("id,title\n1,one\n")
    with pytest.raises(CorpusError, match=r"1 files of .* weren't translated:\n.*0.csv has 2 columns .* with --column"):
        run(folder, tmp_path / "out")
    assert sorted(content(tmp_path / "out")) == ["a.txt", "sub/b.tsv", "sub/news.en"]


def test_an_option_is_for_the_files_whose_format_obeys_it(folder: Path, tmp_path: Path) -> None:
    (folder / "0.csv").write_text("id,title\n1,one\n")
    (folder / "sub" / "b.tsv").write_text("title\ntwo\n")
    with pytest.raises(RecipeError, match="--fuzzy is for po files"):
        run(folder, tmp_path / "out", options=Options(fuzzy=True))
    assert not (tmp_path / "out").exists()
    run(folder, tmp_path / "out", options=Options(column="title"))
    assert content(tmp_path / "out") == {
        "0.csv": "id,title,translation\n1,one,¡one\n",
        "a.txt": "¡one\n",
        "sub/b.tsv": "title\ttranslation\ntwo\t¡two\n",
        "sub/news.en": "¡six\n",
    }


def test_misuse_is_told_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "c.rst").write_text("x")
    for given, out, kind, error, message in (
        (folder, None, None, PathError, "say with --out which folder"),
        (folder, folder / "out", None, PathError, "is inside of"),
        (folder, folder, None, PathError, "is inside of"),
        (folder, tmp_path / "file", None, PathError, "is a file; .* so name a folder"),
        (tmp_path / "empty", tmp_path / "out", None, PathError, "holds no file of a format that is supported"),
        (folder, tmp_path / "out", "pox", RecipeError, "unknown document format 'pox'"),
    ):
        with pytest.raises(error, match=message):
            check_folder(given, out, "en", kind)
    assert not (tmp_path / "out").exists()
