"""The reader of FLORES-200 and FLORES+."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row

TEXTS = {
    "eng_Latn": ["Rivers carry sand.", "It snows."],
    "deu_Latn": ["Flüsse tragen Sand.", "Es schneit."],
    "zho_Hans": ["河流携带沙子。", "下雪了。"],
    "zho_Hant": ["河流攜帶沙子。", "下雪了。"],
}


def write(folder: Path, name: str, texts: dict[str, list[str]] = TEXTS) -> None:
    """The files of a part, in the layout of a release: `LANG.devtest`, `devtest.LANG`, `LANG.jsonl`, `LANG.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    for tag, lines in texts.items():
        path = folder / name.replace("LANG", tag)
        rows: list[dict[str, Any]] = [
            {"id": number, "iso_639_3": tag[:3], "text": text} for number, text in enumerate(lines, start=1)
        ]
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")


def rows_of(path: Path, languages: list[str], **more: Any) -> list[Row]:
    return read_source({"reader": "flores", "path": path} | more, languages)


@pytest.mark.parametrize("name", ["LANG.devtest", "devtest.LANG", "LANG.jsonl", "LANG.parquet"])
def test_every_release(tmp_path: Path, name: str) -> None:
    write(tmp_path / "devtest", name)
    (tmp_path / "metadata_devtest.tsv").write_text("URL\n")
    counts = ReadCounts()
    rows = read_source({"reader": "flores", "path": tmp_path}, ["de", "zh", "zh_Hant"], counts)
    codes = ["en", "de", "zh", "zh_Hant"]
    assert rows == [
        Row({code: texts[line] for code, texts in zip(codes, TEXTS.values(), strict=True)}, f"devtest:{line + 1}")
        for line in (0, 1)
    ]
    assert counts.sources == {"devtest": 2}


def test_dev_and_devtest(tmp_path: Path) -> None:
    write(tmp_path / "dev", "LANG.dev", {"eng_Latn": ["a"], "deu_Latn": ["b"]})
    write(tmp_path / "devtest", "LANG.devtest")
    assert [row.origin for row in rows_of(tmp_path, ["de"], parts=["dev", "devtest"])] == [
        "dev:1",
        "devtest:1",
        "devtest:2",
    ]
    assert [row.texts for row in rows_of(tmp_path, ["de"], parts=["dev"])] == [{"en": "a", "de": "b"}]


@pytest.mark.parametrize("name", ["LANG.devtest", "LANG.jsonl", "LANG.parquet"])
def test_a_short_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / "devtest", name, TEXTS | {"deu_Latn": ["Flüsse tragen Sand."]})
    with pytest.raises(CorpusError, match=r"eng_Latn.* and .*deu_Latn.* don't have the same .* number 2 has .* none"):
        rows_of(tmp_path, ["de"])


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"devtest: no file of en, de; .* none; files are named like deu_Latn"):
        rows_of(tmp_path, ["de"])
    write(tmp_path / "devtest", "LANG.jsonl")
    with pytest.raises(CorpusError, match=r"no file of fr; languages there: deu_Latn, eng_Latn, zho_Hans, zho_Hant"):
        rows_of(tmp_path, ["fr"])
    german = tmp_path / "devtest" / "deu_Latn.jsonl"
    whole = german.read_text()
    for content, message in (
        (whole.replace('"id": 2', '"id": 7'), "number 2 has the ids 2 and 7"),
        (whole[:-20], "deu_Latn.jsonl:2: not JSON"),
        (whole.replace('"text"', '"sentence"'), "deu_Latn.jsonl:1: lacks 'id' or 'text'; it has: id, iso_639_3, sent"),
    ):
        german.write_text(content)
        with pytest.raises(CorpusError, match=message):
            rows_of(tmp_path, ["de"])
    german.rename(german.with_suffix(".parquet"))
    with pytest.raises(CorpusError, match="deu_Latn.parquet: can't be read: .*; make or download it again"):
        rows_of(tmp_path, ["de"])
