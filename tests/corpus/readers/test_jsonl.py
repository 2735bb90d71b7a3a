"""The reader of JSON objects, one per line."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.helpers.readers import rows_of, source_of

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import BLOCK_ROWS, ReadCounts, Row
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings


def write(path: Path, *objects: Any) -> Path:
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects), encoding="utf-8")
    return path


def read(path: Path, languages: list[str], **more: Any) -> list[Row]:
    return rows_of({"reader": "jsonl", "path": str(path), **more}, languages)[0]


def test_keys_of_the_object_or_of_translation(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"id": 1, "en": "Hi", "deu_Latn": "Hallo", "fr": None},
        {"translation": {"de": "Tag", "en": "day", "fr": "jour"}, "score": 0.5},
        {"en": "only"},
    )
    rows, counts = rows_of({"reader": "jsonl", "path": str(path)}, ["de", "fr"])
    assert rows == [
        Row({"en": "Hi", "de": "Hallo"}, "a.jsonl:1", "train"),
        Row({"en": "day", "de": "Tag", "fr": "jour"}, "a.jsonl:2", "train"),
        Row({"en": "only"}, "a.jsonl:3", "train"),
    ]
    assert counts.sources == {"a.jsonl": 3} and not counts.skipped


def test_keys_that_are_named_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"source": "Hi", "german": "Hallo", "de": "not this"})
    rows = read(path, ["deu"], columns={"EN": "source", "de": "german"})
    assert [row.texts for row in rows] == [{"en": "Hi", "deu": "Hallo"}]


def test_several_files_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl.xz").write_bytes(lzma.compress(b'{"en": "b", "de": "B"}'))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress('\ufeff\n{"en": "a", "de": "A"}\r\n\n'.encode()))
    (tmp_path / "notes.txt").write_text("no data")
    for path in (tmp_path, tmp_path / "*.jsonl.*"):
        rows, counts = rows_of({"reader": "jsonl", "path": str(path)}, ["de"])
        assert [row.origin for row in rows] == ["a.jsonl.gz:2", "b.jsonl.xz:1"]
        assert counts.sources == {"a.jsonl.gz": 1, "b.jsonl.xz": 1}


def test_half_of_a_pair_is_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"en": "\\ud83d", "de": "\\ud83d\\ude00"}\n')
    rows, counts = rows_of({"reader": "jsonl", "path": str(path)}, ["de"])
    assert [row.texts for row in rows] == [{"de": "😀"}]
    assert counts.skipped == {"en": {"half of a surrogate pair": 1}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"en": "a"', r"a\.jsonl:2: not JSON: .*one whole JSON object"),
        ('["a", "b"]', r"a\.jsonl:2: not an object"),
        ("[" * 100_000, r"a\.jsonl:2: nested too deeply"),
        ('{"en": 12, "de": "b"}', r"a\.jsonl:2: the text in en is the number 12, not a string"),
        ('{"en": NaN, "de": "b"}', r"a\.jsonl:2: the text in en is the number NaN"),
        ('{"en": ["a"], "de": "b"}', r"a\.jsonl:2: the text in en is a list"),
        ('{"en": {"text": "a"}, "de": "b"}', r"a\.jsonl:2: the text in en is an object"),
        ('{"en": false, "de": "b"}', r"a\.jsonl:2: the text in en is false"),
        ('{"en": "a", "de": "b", "de": "c"}', r"a\.jsonl:2: columns 2 and 3 are both 'de'; keep one"),
        ('{"en": "a", "de": "b", "ger": "c"}', r"a\.jsonl:2: columns 2 and 3 are both 'de'; .*columns: \{de: NAME\}"),
        ("\udcff", r"a\.jsonl:2: not valid UTF-8"),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"en": "a", "de": "b"}\n' + line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(CorpusError, match=message):
        read(path, ["de"])


def test_a_language_that_no_object_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"en": "a", "german": "b"})
    with pytest.raises(CorpusError, match=r"no column for de; it has: en, german\. .*columns: \{de: NAME\}"):
        read(path, ["de"])
    with pytest.raises(CorpusError, match="no column for de"):
        read(path, ["de"], columns={"de": "deutsch"})
    path.write_text("")
    with pytest.raises(CorpusError, match="no column for en, de; it has: nothing"):
        read(path, ["de"])


def test_a_compressed_file_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"en": "a", "de": "b"}\n' * 1000)[:-20])
    with pytest.raises(CorpusError, match=r"a\.jsonl\.gz: damaged"):
        read(path, ["de"])


def test_a_language_that_is_mapped_twice(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'de' and 'deu' are the same language; keep one"):
        read(tmp_path / "a.jsonl", ["de"], columns={"de": "x", "deu": "y"})


def test_blocks_have_a_bounded_size(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *[{"en": str(number), "de": "x"} for number in range(BLOCK_ROWS + 5)])
    corpus = CorpusSettings.model_validate(source_of({"reader": "jsonl", "path": str(path)}, ["de"]))
    assert [len(block) for block in read_rows(corpus, ReadCounts())] == [BLOCK_ROWS, 5]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.fixed_dictionaries({"en": TEXTS, "de": TEXTS}), min_size=1), st.booleans(), st.booleans())
def test_what_is_written_is_read(tmp_path: Path, texts: list[dict[str, str]], ascii_only: bool, nested: bool) -> None:
    path = tmp_path / "a.jsonl"
    lines = (json.dumps({"translation": each} if nested else each, ensure_ascii=ascii_only) + "\n" for each in texts)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    found = [row.texts for row in read(path, ["de"])]
    assert found == [{code: text for code, text in each.items() if text} for each in texts]
