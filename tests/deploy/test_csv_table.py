"""CSV: the translation is added as the last column; what is there stays as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.documents import Fixed, through

from neuronspec.core.errors import CorpusError, RecipeError


@pytest.mark.parametrize(
    ("content", "column", "expected"),
    [
        ("a\nb\n", None, "a,A\nb,B\n"),
        ("id,word\r\n1,a b\r\n", "word", "id,word,translation\r\n1,a b,A B\r\n"),
        ("1;a,b\n2;c", "2", "1;a,b;A,B\n2;c;C"),
        ("1\ta\n", "2", "1\ta\tA\n"),
        ('"id","word"\n"1","a"\n', "word", '"id","word","translation"\n"1","a","A"\n'),
        ('id,word\n1,"a, ""b""\nc"\n\n2,d\n', "word", 'id,word,translation\n1,"a, ""b""\nc","A, ""B""\nC"\n\n2,d,D\n'),
        ("sep=;\n1;a,b,c\n", "2", "sep=;\n1;a,b,c;A,B,C\n"),
        ("sep=\t\n\tword\n\ta\n", "word", "sep=\t\n\tword\ttranslation\n\ta\tA\n"),
        ("sep=;\r\n\r\n1;a,b\r\n", "2", "sep=;\r\n\r\n1;a,b;A,B\r\n"),
        ("\ufeff1,a\n", "2", "\ufeff1,a,A\n"),
        ("1,-a\n2,=b\n3,-1\n", "2", "1,-a,'-A\n2,=b,'=B\n3,-1,-1\n"),
        ("", None, ""),
        ("\n", None, "\n"),
    ],
)
def test_a_column_is_added(tmp_path: Path, content: str, column: str | None, expected: str) -> None:
    assert through(tmp_path, "a.csv", content, column=column) == expected


def test_translations_are_quoted_where_they_must_be(tmp_path: Path) -> None:
    engine = Fixed({"a": 'x, "y"', "b": " z"})
    assert through(tmp_path, "a.csv", "1,a\n2,b\n", engine, column="2") == '1,a,"x, ""y"""\n2,b," z"\n'


@pytest.mark.parametrize(
    ("content", "column", "error", "message"),
    [
        (
            "id,word\n1,a\n",
            None,
            RecipeError,
            r"a.csv has 2 columns \(first line: 1 'id', 2 'word'\): say with --column",
        ),
        ("id,word,word\n", "word", RecipeError, r"--column word: neither a number from 1 nor the name of one column"),
        ("1,a\n2\n", "2", CorpusError, r"a.csv:2: 1 columns, and column 2 is to be translated"),
        ('1,"a\nb",c\n2\n', "2", CorpusError, r"a.csv:3: 1 columns"),
        ('1,a\n2,"b\n', "2", CorpusError, r"a.csv:2: not a row of CSV: unexpected end of data"),
        ('1,"a"b\n', "2", CorpusError, r"a.csv:1: not a row of CSV: ',' expected after '\"'"),
        (b"1,a\n2,\xff\n", "2", CorpusError, r"a.csv:2: not valid UTF-8 \(byte 0xff at column 3\)"),
    ],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path, content: str | bytes, column: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        through(tmp_path, "a.csv", content, column=column)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_long_cell(tmp_path: Path) -> None:
    long = "a b " * 40_000 + "c"
    assert through(tmp_path, "a.csv", f"1,{long}\n", column="2") == f"1,{long},{long.upper()}\n"
