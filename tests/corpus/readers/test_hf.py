"""The reader of data sets of the library `datasets`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict
from pydantic import ValidationError
from tests.helpers.fake_hub import in_the_cache
from tests.helpers.readers import rows_of, source_of

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import BLOCK_ROWS, Row
from neuronspec.corpus.settings import CorpusSettings

TEXTS = [{"en": "Hi", "de": "Hallo"}, {"en": "day", "de": "Tag"}, {"en": "one", "de": "eins"}]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library keeps of a data set that it has read."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def data_of(texts: list[dict[str, str]], nested: bool = True) -> Dataset:
    return Dataset.from_list([{"translation": each} for each in texts] if nested else texts)


def read(path: Path | str, languages: list[str], **more: Any) -> list[Row]:
    return rows_of({"reader": "hf", "path": str(path), **more}, languages)[0]


def texts_of(rows: list[Row]) -> list[dict[str, str]]:
    return [dict(row.texts) for row in rows]


@pytest.mark.parametrize("nested", [True, False])
def test_splits_that_were_saved_to_disk(tmp_path: Path, nested: bool) -> None:
    splits = {"train": data_of(TEXTS[:2], nested), "validation": data_of(TEXTS[2:], nested)}
    DatasetDict(splits).save_to_disk(tmp_path / "data")
    source = {"reader": "hf", "path": str(tmp_path / "data")}
    rows, counts = rows_of(source, ["deu_Latn"], valid=source)
    assert rows == [
        Row({"en": "Hi", "deu_Latn": "Hallo"}, "data/train:1", "train"),
        Row({"en": "day", "deu_Latn": "Tag"}, "data/train:2", "train"),
        Row({"en": "one", "deu_Latn": "eins"}, "data/validation:1", "valid"),
    ]
    assert counts.sources == {"data/train": 2, "data/validation": 1}
    assert texts_of(read(tmp_path / "data", ["de"], split="validation")) == TEXTS[2:]
    with pytest.raises(CorpusError, match="there is no split dev; it has: train, validation. Name one with split"):
        read(tmp_path / "data", ["de"], split="dev")
    with pytest.raises(CorpusError, match="was saved to disk, so it has no configuration de-en; leave name out"):
        read(tmp_path / "data", ["de"], name="de-en")


def test_rows_that_were_saved_without_splits(tmp_path: Path) -> None:
    data_of(TEXTS).select([2, 0]).save_to_disk(tmp_path / "data")
    rows = read(tmp_path / "data", ["de"])
    assert texts_of(rows) == [TEXTS[2], TEXTS[0]] and rows[1].origin == "data:2"
    with pytest.raises(CorpusError, match="saved without splits, so there is no train; leave split out"):
        read(tmp_path / "data", ["de"], split="train")


def test_folders_of_parquet_and_json(tmp_path: Path) -> None:
    for name in ("parquet", "json"):
        (tmp_path / name).mkdir()
    data_of(TEXTS).to_parquet(tmp_path / "parquet" / "train-00000-of-00001.parquet")
    data_of(TEXTS[1:]).to_parquet(tmp_path / "parquet" / "test-00000-of-00001.parquet")
    lines = "".join(json.dumps({"source": each["en"], "german": each["de"]}) + "\n" for each in TEXTS)
    (tmp_path / "json" / "some.jsonl").write_text(lines)
    source = {"reader": "hf", "path": str(tmp_path / "parquet")}
    rows, _ = rows_of(source, ["de"], test=source)
    assert texts_of(rows) == TEXTS + TEXTS[1:] and rows[-1].split == "test"
    assert texts_of(read(tmp_path / "json", ["de"], columns={"en": "source", "de": "german"})) == TEXTS
    with pytest.raises(CorpusError, match="there is no column for en, de; it has: source, german"):
        read(tmp_path / "json", ["de"])


def test_configurations_of_a_card(tmp_path: Path) -> None:
    for pair, texts in {"de-en": TEXTS, "fr-en": [{"en": "Hi", "fr": "Salut"}]}.items():
        (tmp_path / pair).mkdir()
        data_of(texts).to_parquet(tmp_path / pair / "train.parquet")
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {pair}\n  data_files: {pair}/*.parquet\n" for pair in ("de-en", "fr-en")
    )
    (tmp_path / "README.md").write_text(card + "---\n")
    rows = read(tmp_path, ["fr"], name="fr-en")
    assert texts_of(rows) == [{"en": "Hi", "fr": "Salut"}]
    assert rows[0].origin == f"{tmp_path.name}/fr-en/train:1"
    with pytest.raises(CorpusError, match="can't be read: .*[Cc]onfig"):
        read(tmp_path, ["fr"])


def test_blocks(tmp_path: Path) -> None:
    texts = [{"en": str(number), "de": "x"} for number in range(BLOCK_ROWS + 3)]
    data_of(texts, nested=False).save_to_disk(tmp_path / "data")
    rows = read(tmp_path / "data", ["de"])
    assert texts_of(rows) == texts and rows[-1].origin == f"data:{BLOCK_ROWS + 3}"


def test_a_name_on_the_hub_is_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    data_of(TEXTS).to_parquet(tmp_path / "made" / "train.parquet")
    in_the_cache(tmp_path / "hub", monkeypatch, "someone/pairs", tmp_path / "made", kind="dataset")
    rows, counts = rows_of({"reader": "hf", "path": "someone/pairs"}, ["de"])
    assert texts_of(rows) == TEXTS and counts.sources == {"pairs/train": 3}
    corpus = CorpusSettings.model_validate(source_of({"reader": "hf", "path": "someone/pairs"}, ["de"]))
    assert corpus.inputs == {"someone/pairs": {"snapshot": "0" * 40, "files": 1}}
    missing = "no such data set. Nothing is downloaded by itself: 'hf download someone/other --repo-type dataset"
    with pytest.raises(CorpusError, match=missing):
        read("someone/other", ["de"])
    with pytest.raises(CorpusError, match=f"{missing} --revision v2' does"):
        read("someone/other", ["de"], revision="v2")


def test_a_revision_of_a_folder(tmp_path: Path) -> None:
    data_of(TEXTS).save_to_disk(tmp_path / "data")
    with pytest.raises(CorpusError, match="is a folder, so it has no revision v2; leave revision out"):
        read(tmp_path / "data", ["de"], revision="v2")


@pytest.mark.parametrize("name", ["data-00000-of-00001.arrow", "state.json", "dataset_info.json"])
def test_damaged_data(tmp_path: Path, name: str) -> None:
    data_of(TEXTS).save_to_disk(tmp_path / "data")
    (tmp_path / "data" / name).write_bytes(b"{")
    with pytest.raises(CorpusError, match=r"data: can't be read: "):
        read(tmp_path / "data", ["de"])


def test_damaged_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="can't be read: "):
        read(tmp_path / "a", ["de"])
    (tmp_path / "a" / "train.parquet").unlink()
    with pytest.raises(CorpusError, match="can't be read: "):
        read(tmp_path / "a", ["de"])


def test_parquet_files_are_read_as_by_their_own_reader(tmp_path: Path) -> None:
    """The library reads ahead of a slow consumer, without a bound on the memory."""
    table = pa.table({"en": pa.array([b"a", b"\xef"]).view(pa.string()), "de": ["a", "b"]})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(CorpusError, match=r"train\.parquet: row 2: the text in en is not valid UTF-8"):
        read(tmp_path, ["de"])


def test_files_elsewhere_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Builder:
        config = type("Config", (), {"data_files": {"train": ["https://example.org/a.parquet"]}})()

    monkeypatch.setattr("datasets.load_dataset_builder", lambda *_: Builder())
    with pytest.raises(CorpusError, match=r"its card names files elsewhere, such as https://example\.org/a\.parquet"):
        read(tmp_path, ["de"])


def test_columns_of_numbers(tmp_path: Path) -> None:
    Dataset.from_dict({"en": ["a"], "de": [1]}).save_to_disk(tmp_path / "data")
    with pytest.raises(CorpusError, match="data: the column 'de' of de holds int64, not strings"):
        read(tmp_path / "data", ["de"])


def test_a_file_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").touch()
    with pytest.raises(ValidationError, match=r"train\.parquet is a file; name its folder"):
        source = source_of({"reader": "hf", "path": "data/train.parquet"}, ["de"])
        CorpusSettings.model_validate(source, context={"folder": tmp_path, "check_files": True})


def test_what_shows_a_change_and_what_is_missing(tmp_path: Path) -> None:
    data_of(TEXTS).save_to_disk(tmp_path / "data")
    source = source_of({"reader": "hf", "path": "data"}, ["de"])
    context = {"folder": tmp_path, "check_files": True}
    corpus = CorpusSettings.model_validate(source, context=context)
    before = corpus.inputs
    assert str(tmp_path / "data" / "state.json") in before
    data_of(TEXTS[:1]).save_to_disk(tmp_path / "other")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "other").rename(tmp_path / "data")
    assert corpus.inputs != before
    with pytest.raises(ValidationError, match=r"no such folder: .*nothing"):
        CorpusSettings.model_validate(source_of({"reader": "hf", "path": "nothing"}, ["de"]), context=context)
