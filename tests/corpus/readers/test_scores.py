"""Columns of scores, in every reader of tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.helpers.readers import rows_of

from neuronspec.core.errors import CorpusError

SCORES = [0.9, 0.1, None, 0.5, 1]
ROWS = [{"en": f"a{place}", "de": f"b{place}", "bicleaner": score} for place, score in enumerate(SCORES)]


def table(delimiter: str) -> str:
    lines = [[row["en"], row["de"], "" if row["bicleaner"] is None else str(row["bicleaner"])] for row in ROWS]
    return "".join(delimiter.join(line) + "\n" for line in [["en", "de", "bicleaner"], *lines])


def nested(row: dict[str, object]) -> dict[str, object]:
    return {"translation": {"en": row["en"], "de": row["de"]}, "bicleaner": row["bicleaner"]}


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "tsv": ("tsv", lambda path: path.write_text(table("\t"))),
    "csv": ("csv", lambda path: path.write_text(table(","))),
    "jsonl": ("jsonl", lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))),
    "nested jsonl": ("jsonl", lambda path: path.write_text("".join(json.dumps(nested(row)) + "\n" for row in ROWS))),
    "parquet": ("parquet", lambda path: pa.parquet.write_table(pa.Table.from_pylist(ROWS), path)),
    "nested parquet": (
        "parquet", lambda path: pa.parquet.write_table(pa.Table.from_pylist([nested(row) for row in ROWS]), path),
    ),
    "hf": ("hf", lambda path: datasets.Dataset.from_list(ROWS).save_to_disk(path)),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_with_low_scores_are_left_out(kind: str, tmp_path: Path) -> None:
    reader, write = WRITERS[kind]
    path = tmp_path / f"text.{reader}"
    write(path)
    source = {"reader": reader, "path": str(path), "min_scores": {"bicleaner": 0.5}}
    rows, counts = rows_of(source, ["de"])
    assert [row.texts for row in rows] == [{"en": f"a{place}", "de": f"b{place}"} for place in (0, 3, 4)]
    assert counts.skipped["de"] == Counter({"bicleaner under 0.5": 1, "no bicleaner": 1})
    assert sum(counts.sources.values()) == 5
    assert len(rows_of(source | {"min_scores": {"bicleaner": 2}}, ["de"])[0]) == 0
    assert len(rows_of(source | {"min_scores": None}, ["de"])[0]) == 5


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet"])
def test_a_column_that_isnt_there_is_told(kind: str, tmp_path: Path) -> None:
    reader, write = WRITERS[kind]
    write(tmp_path / f"text.{reader}")
    source = {"reader": reader, "path": str(tmp_path / f"text.{reader}"), "min_scores": {"laser": 1}}
    with pytest.raises(
        CorpusError, match=r"there is no column 'laser', which min_scores names; there are: .*bicleaner"
    ):
        rows_of(source, ["de"])


@pytest.mark.parametrize(
    ("reader", "text"), [("tsv", "en\tde\ts\na\tb\tlow\n"), ("jsonl", '{"en":"a","de":"b","s":[1]}')]
)
def test_what_is_no_number_is_told(reader: str, text: str, tmp_path: Path) -> None:
    (tmp_path / f"a.{reader}").write_text(text)
    with pytest.raises(CorpusError, match=r"s is ('low'|a list), not a number; change min_scores"):
        rows_of({"reader": reader, "path": str(tmp_path / f"a.{reader}"), "min_scores": {"s": 1}}, ["de"])
