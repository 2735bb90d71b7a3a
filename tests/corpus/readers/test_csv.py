"""The reader of tables with quoted cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.helpers.readers import rows_of

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import Row


def read(path: Path, text: str | bytes, languages: list[str], **more: Any) -> list[Row]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rows_of({"reader": "csv", "path": str(path), **more}, languages)[0]


def test_quoted_cells_and_the_lines_where_rows_begin(tmp_path: Path) -> None:
    text = 'id,en,de\r\n1,"a, ""b""","zwei\r\nZeilen"\r\n\r\n2,=1+1,\r\n'
    assert read(tmp_path / "a.csv", text, ["de"]) == [
        Row({"en": 'a, "b"', "de": "zwei\nZeilen"}, "a.csv:2", "train"),
        Row({"en": "=1+1"}, "a.csv:5", "train"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "en;de\na,b;c\n",
        "en\tde\na,b\tc\n",
        "en|de\na,b|c",
        '"en","deu_Latn"\n"a,b","c"\n',
        "note, with comma;en;de\n;a,b;c\n",
        'sep=;\nen;de\n"a,b";c\n',
        '"sep=^"\r\nen^de\r\na,b^c\r\n',
    ],
)
def test_the_delimiter_is_found(tmp_path: Path, text: str) -> None:
    (row,) = read(tmp_path / "a.csv", text, ["de"])
    assert row.texts == {"en": "a,b", "de": "c"}
    assert row.origin == ("a.csv:3" if "sep=" in text else "a.csv:2")


def test_the_delimiter_that_is_set(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a.csv", "en~german\na,b~c\n", ["de"], delimiter="~", columns={"de": "german"})
    assert row.texts == {"en": "a,b", "de": "c"}
    for wrong in ("", "::", '"', "\n"):
        with pytest.raises(ValidationError, match="delimiter"):
            read(tmp_path / "a.csv", "", ["de"], delimiter=wrong)


def test_marks_and_compression(tmp_path: Path) -> None:
    text = codecs.BOM_UTF8 + b"en,de\na,b\n"
    expected = {"en": "a", "de": "b"}
    assert [row.texts for row in read(tmp_path / "a.csv", text, ["de"])] == [expected]
    assert [row.texts for row in read(tmp_path / "a.csv.gz", gzip.compress(text), ["de"])] == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv:1: the line is empty; it must name the columns"),
        ("sep=;\n", r"a\.csv:2: the line is empty"),
        ("en,german\na,b\n", r"a\.csv:1: there is no column for de; it has: en, german"),
        ("en,de,ger\na,b,c\n", r"a\.csv:1: columns 2 and 3 are both 'de'"),
        ("en,de\na,b\na,b,c\n", r"a\.csv:3: 3 cells, expected 2 as in the first row"),
        ('en,de\na,"b" c\n', r"a\.csv:2: .*in the row that begins here; .*doubled"),
        ('en,de\n"x\ny",z\na,"b\n\nc,d\n', r"a\.csv:4: .*in the row that begins here"),
        ("en,de\na\rb,c\n", r"a\.csv:2: new-line character"),
        ("en,de\ra,b\r", r"a\.csv:1: new-line character.*in the row that begins here"),
        (b"en,de\n\xfc,b\n", r"a\.csv:2: not valid UTF-8: byte 0xfc"),
        ("en,de\na,b\n".encode("utf-16"), r"a\.csv: not UTF-8 but UTF-16"),
        ('en,de\na,"' + 60_000 * "b" + 3 * ("\n" + 60_000 * "b"), r"a\.csv:2: unexpected end of data"),
        ("en,de\na," + 2**20 * "b", r"a\.csv:2: a line of more than 1 MiB"),
        ("en,de\na" + ',"\n"' * 600_000, r"a\.csv:2: a row of more than 1 MiB"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / "a.csv", text, ["de"])


def test_a_header_is_checked_before_the_first_row_of_any_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("en,de\na\n")
    (tmp_path / "b.csv").write_text("en,fr\na,b\n")
    with pytest.raises(CorpusError, match=r"b\.csv:1: there is no column for de"):
        rows_of({"reader": "csv", "path": str(tmp_path / "*.csv")}, ["de"])


def test_a_pipe_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    os.mkfifo(path)
    threading.Thread(target=path.write_text, args=["en,de\na,b\n"], daemon=True).start()
    (row,) = rows_of({"reader": "csv", "path": str(path)}, ["de"])[0]
    assert row.texts == {"en": "a", "de": "b"}


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1), st.sampled_from(",;\t|"), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, texts: list[tuple[str, str]], delimiter: str, quoted: bool) -> None:
    written = io.StringIO()
    table = csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    table.writerows([("en", "de"), *texts])
    rows = read(tmp_path / "a.csv", written.getvalue(), ["de"])
    assert [(row.texts.get("en", ""), row.texts.get("de", "")) for row in rows] == texts


def test_long_cells_are_read(tmp_path: Path) -> None:
    limit, long = csv.field_size_limit(), "x " * 100_000
    (row,) = read(tmp_path / "a.csv", f'en,de,{long}\n"{long}",a,b\n', ["de"])
    assert row.texts == {"en": long, "de": "a"}
    assert csv.field_size_limit() == limit


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", "en,de\n\na,b\n \t\n\nc,d\n,\n", ["de"])
    assert [row.origin for row in rows if row.texts] == ["a.csv:3", "a.csv:6"]
