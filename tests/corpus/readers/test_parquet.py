"""The reader of Parquet files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.readers import rows_of

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import BLOCK_ROWS, Row

TRANSLATION = [{"en": "Hi", "de": "Hallo"}, {"en": "day", "de": None}, None]


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def read(path: Path, languages: list[str], **more: Any) -> list[Row]:
    return rows_of({"reader": "parquet", "path": str(path), **more}, languages)[0]


def texts_of(path: Path, languages: list[str], **more: Any) -> list[dict[str, str]]:
    return [dict(row.texts) for row in read(path, languages, **more)]


def test_columns_by_language(tmp_path: Path) -> None:
    columns = {"id": [1, 2], "eng_Latn": ["Hi", ""], "de": ["Hallo", None], "score": [0.5, 1.0]}
    rows, counts = rows_of({"reader": "parquet", "path": str(write(tmp_path / "a.parquet", columns))}, ["de"])
    assert rows == [Row({"en": "Hi", "de": "Hallo"}, "a.parquet:1", "train"), Row({}, "a.parquet:2", "train")]
    assert counts.sources == {"a.parquet": 2} and not counts.skipped


def test_fields_of_translation(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"id": [1, 2, 3], "translation": TRANSLATION})
    assert texts_of(path, ["de"]) == [{"en": "Hi", "de": "Hallo"}, {"en": "day"}, {}]


def test_columns_that_are_named_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"src": ["a"], "text.german": ["b"], "de": ["c"]})
    assert texts_of(path, ["de"], columns={"en": "src", "de": "text.german"}) == [{"en": "a", "de": "b"}]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_kinds_of_strings(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {"en": pa.array(["a", None, "a"]).cast(kind), "de": pa.array(["b", "c", "d"])}
    path = write(tmp_path / "a.parquet", columns)
    assert texts_of(path, ["de"]) == [{"en": "a", "de": "b"}, {"de": "c"}, {"en": "a", "de": "d"}]


def test_several_files_row_groups_and_blocks(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(BLOCK_ROWS + 10)]
    for name in ("train-0", "train-1"):
        write(tmp_path / f"{name}.parquet", {"en": numbers, "de": numbers}, row_group_size=1000)
    write(tmp_path / "empty.parquet", {"en": pa.array([], pa.string()), "de": pa.array([], pa.string())})
    rows, counts = rows_of({"reader": "parquet", "path": str(tmp_path / "*.parquet")}, ["de"])
    assert [row.texts["en"] for row in rows] == numbers * 2
    assert rows[-1].origin == f"train-1.parquet:{BLOCK_ROWS + 10}"
    assert counts.sources == {"train-0.parquet": BLOCK_ROWS + 10, "train-1.parquet": BLOCK_ROWS + 10}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"en": ["a"], "german": ["b"]}, r"a\.parquet: there is no column for de; it has: en, german"),
        ({"en": ["a"], "de": ["b"], "ger": ["c"]}, r"a\.parquet: columns 2 and 3 are both 'de'"),
        ({"en": ["a"], "de": [1]}, r"a\.parquet: the column 'de' of de holds int64, not strings"),
        ({"en": ["a"], "de": [b"b"]}, r"a\.parquet: the column 'de' of de holds binary, not strings"),
        ({"translation": [{"language": ["en"], "translation": ["a"]}]}, "no column for en, de; it has: language, tra"),
    ],
)
def test_schemas_that_are_refused_before_the_first_row(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(write(tmp_path / "a.parquet", columns), ["de"])


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    damaged = pa.array([b"a", b"na\xefve", b"b"]).view(pa.string())
    path = write(tmp_path / "a.parquet", {"en": damaged, "de": ["a", "b", "c"]})
    with pytest.raises(CorpusError, match=r"a\.parquet: row 2: the text in en is not valid UTF-8"):
        read(path, ["de"])


@pytest.mark.parametrize("part", [slice(0, -100), slice(100, None), slice(0, 0), slice(0, 3)])
def test_files_that_are_cut(tmp_path: Path, part: slice) -> None:
    path = write(tmp_path / "a.parquet", {"en": ["a"] * 1000, "de": ["b"] * 1000})
    path.write_bytes(path.read_bytes()[part])
    with pytest.raises(CorpusError, match=r"a\.parquet: can't be read: .*make or download it again"):
        read(path, ["de"])


def test_a_page_that_is_damaged(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(10_000)]
    path = write(tmp_path / "a.parquet", {"en": numbers, "de": numbers}, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.parquet: can't be read"):
        read(path, ["de"])


def test_a_text_of_many_megabytes_among_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"en": ["a"] * 5000 + ["b" * 2**21], "de": ["c"] * 5001})
    with pytest.raises(CorpusError, match=r"a\.parquet: row 5001: a text of 2,097,152 bytes in en, more than 1 MiB"):
        read(path, ["de"])


def test_texts_that_would_fill_the_memory_are_refused_unread(tmp_path: Path) -> None:
    size = 64 * 2**20
    path = write(tmp_path / "a.parquet", {"en": ["a" * size], "de": ["b"]}, compression="zstd", use_dictionary=False)
    code = """
import re, sys
from pathlib import Path
from tests.helpers.readers import rows_of
from neuronspec.core.errors import CorpusError
try:
    rows_of({"reader": "parquet", "path": sys.argv[1]}, ["de"])
except CorpusError as error:
    print(error)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    command = [sys.executable, "-c", code, str(path)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    message, kilobytes = done.stdout.splitlines()
    assert re.search(r"row group 1: [\d,]+ bytes \(compressed [\d,]+\) in the column 'en' and 1 rows", message)
    assert path.stat().st_size < 2**20 and int(kilobytes) < 256 * 2**10


TEXTS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.fixed_dictionaries({"en": TEXTS, "de": TEXTS}), min_size=1), st.booleans(), st.booleans())
def test_what_is_written_is_read(
    tmp_path: Path, texts: list[dict[str, str | None]], nested: bool, dictionary: bool
) -> None:
    kind = pa.struct([("en", pa.string()), ("de", pa.string())])
    rows = pa.array(texts, kind)
    columns = {"translation": rows} if nested else {code: rows.field(code) for code in ("en", "de")}
    path = write(tmp_path / "a.parquet", columns, use_dictionary=dictionary, row_group_size=2)
    assert texts_of(path, ["de"]) == [{code: text for code, text in each.items() if text} for each in texts]
