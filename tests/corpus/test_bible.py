"""The Bible corpus, where it is there, through several formats: the prepared data are the same."""

from __future__ import annotations

import csv
import json
import lzma
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from tests.helpers.shards import write_samples

from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.settings import TokenizerSettings

BIBLE = next((each for each in Path(__file__).resolve().parents if (each / "shared/data/bible").is_dir()), None)
CODES = ["en", "de", "zh", "ar", "hyw"]
Verses = list[dict[str, str]]

pytestmark = pytest.mark.skipif(BIBLE is None, reason="the Bible corpus isn't beside the project (shared/data/bible)")


def verses(step: int) -> Verses:
    assert BIBLE is not None
    with lzma.open(BIBLE / "shared/data/bible/train.tsv.xz", "rt", encoding="utf-8", newline="\n") as file:
        names = next(file).rstrip("\n").split("\t")
        rows = (dict(zip(names, line.rstrip("\n").split("\t"), strict=True)) for line in islice(file, None, None, step))
        return [{code: row[code] for code in CODES} for row in rows]


def as_tsv(path: Path, rows: Verses) -> None:
    path.write_text("".join("\t".join(line) + "\n" for line in [CODES, *(row.values() for row in rows)]), "utf-8")


def as_csv(path: Path, rows: Verses) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([CODES, *(row.values() for row in rows)])


def as_jsonl(path: Path, rows: Verses) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def as_parquet(path: Path, rows: Verses) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def as_tmx(path: Path, rows: Verses) -> None:
    units = (
        "".join(f'<tuv xml:lang="{code}"><seg>{escape(text)}</seg></tuv>' for code, text in row.items()) for row in rows
    )
    body = "\n".join(f"<tu>{unit}</tu>" for unit in units)
    path.write_text(f'<tmx version="1.4"><header/><body>{body}</body></tmx>', "utf-8")


def as_hf(path: Path, rows: Verses) -> None:
    Dataset.from_list(rows).save_to_disk(path)


WRITERS: dict[str, Callable[[Path, Verses], None]] = {
    "tsv": as_tsv, "csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet, "tmx": as_tmx, "hf": as_hf,
    "webdataset": write_samples,
}  # fmt: skip


def prepared(folder: Path, reader: str, rows: Verses) -> tuple[dict[str, bytes], Any, Any]:
    """The files of the token store, and the counts."""
    folder.mkdir()
    path = folder / f"text.{reader}"
    WRITERS[reader](path, rows)
    corpus = {"languages": CODES[1:], "train": {"reader": reader, "path": str(path)}, "workers": 1}
    prepare(CorpusSettings.model_validate(corpus), TokenizerSettings(vocabulary=4000), folder / "data", seed=1)
    report = json.loads((folder / "data" / "corpus.json").read_text(encoding="utf-8"))
    files = {each.name: each.read_bytes() for each in (folder / "data" / "tokens").iterdir()}
    return files, report["splits"], report["cells"]["valid"]


@pytest.mark.parametrize("step", [30, pytest.param(1, marks=pytest.mark.slow)])
def test_the_format_doesnt_matter(tmp_path: Path, step: int) -> None:
    rows = verses(step)
    first, *others = (prepared(tmp_path / reader, reader, rows) for reader in WRITERS)
    assert first[0] and all(other == first for other in others)
