"""Several sources for a split: what is read of each, and how often it is drawn."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from itertools import groupby, islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.helpers.shards import write_samples
from tests.helpers.toy_corpus import EN_DE, ToyPairs
from typer.testing import CliRunner

from neuronspec.batching.draws import MixedDraws, SeparateDraws
from neuronspec.cli.app import app
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.corpus import encode
from neuronspec.corpus.counts import unused_sources
from neuronspec.corpus.mixture import Part, rows_of_epoch, sizes_by_weight
from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.readers.rows import ReadCounts
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.store import TokenStore
from neuronspec.models.settings import TokenizerSettings

Rows = list[dict[str, str]]
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def sentences(first: int, many: int) -> Rows:
    """Rows in English, German and, every second one, French."""
    rows = []
    for number in range(first, first + many):
        word = " ".join(NUMBERS[int(digit)] for digit in str(number))
        row = {"en": f"the {word}", "de": f"der {word}"} | ({"fr": f"le {word}"} if number % 2 else {})
        rows.append(row)
    return rows


def as_tsv(path: Path, rows: Rows) -> None:
    lines = [
        "\t".join(("en", "de", "fr")),
        *("\t".join(row.get(code, "") for code in ("en", "de", "fr")) for row in rows),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def as_csv(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["fr", "en", "de"])
        writer.writeheader()
        writer.writerows(rows)


def as_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def as_parquet(path: Path, rows: Rows) -> None:
    pa.parquet.write_table(
        pa.Table.from_pylist(rows, pa.schema([(code, pa.string()) for code in ("de", "en", "fr")])), path
    )


def as_tmx(path: Path, rows: Rows) -> None:
    units = (
        "<tu>" + "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in row.items()) + "</tu>"
        for row in rows
    )
    path.write_text(f'<tmx version="1.4"><header/><body>{"".join(units)}</body></tmx>', encoding="utf-8")


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "tsv": as_tsv, "csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet, "tmx": as_tmx, "webdataset": write_samples,
}  # fmt: skip


def written(folder: Path, reader: str, rows: Rows, **more: Any) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(list(folder.iterdir()))}.{reader}"
    FORMATS[reader](path, rows)
    return {"reader": reader, "path": str(path)} | more


def corpus_of(train: Any, **more: Any) -> CorpusSettings:
    return CorpusSettings.model_validate({"languages": ["de", "fr"], "train": train, "workers": 1} | more)


def prepared(folder: Path, train: Any, **more: Any) -> tuple[TokenStore, dict[str, Any]]:
    """A store with its report."""
    prepare(corpus_of(train, **more), TokenizerSettings(vocabulary=110), folder, seed=1)
    return TokenStore.open(folder), json.loads((folder / "corpus.json").read_text())


def texts(store: TokenStore, split: str, direction: str) -> list[tuple[str, str]]:
    pairs = store.pairs(split, direction)
    decode = store.tokenizer.decode
    return [tuple(decode(side) for side in pairs.tokens(index)) for index in range(len(pairs))]  # type: ignore[misc]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_formats_of_a_list_dont_matter(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 79), min_size=1, max_size=2), "cuts"))
    parts = [sentences(first, after - first) for first, after in zip([0, *cuts], [*cuts, 80], strict=True)]
    options: list[dict[str, Any]] = [
        data.draw(st.sampled_from([{}, {"share": 0.5}, {"max_sentences": 9}])) for _ in parts
    ]
    seen = []
    for name in ("one", "other"):
        readers = data.draw(st.lists(st.sampled_from(list(FORMATS)), min_size=len(parts), max_size=len(parts)), name)
        folder = tmp_path_factory.mktemp(name)
        sources = [
            written(folder / "text", reader, part, **more)
            for reader, part, more in zip(readers, parts, options, strict=True)
        ]
        _, report = prepared(folder / "data", [written(folder / "text", "tsv", sentences(100, 40)), *sources])
        files = {path.name: path.read_bytes() for path in (folder / "data" / "tokens").iterdir()}
        kept = [{key: part[key] for key in ("rows", "used")} | part.get("epoch", {}) for part in report["sources"]]
        seen.append((files, report["splits"], report["cells"], kept))
    assert seen[0] == seen[1]


def test_a_list_of_one_is_that_source(tmp_path: Path) -> None:
    source = written(tmp_path, "tsv", sentences(0, 60))
    one, many = prepared(tmp_path / "a", source)[0], prepared(tmp_path / "b", [source])[0]
    assert one.fingerprint() == many.fingerprint()


def test_each_source_has_its_counts(tmp_path: Path) -> None:
    train = [
        written(tmp_path, "tsv", sentences(0, 60)),
        written(tmp_path, "jsonl", sentences(60, 30), max_sentences=10, domain="news"),
    ]
    report = prepared(tmp_path / "data", train)[1]
    first, second = report["sources"]
    assert (first["split"], first["place"], first["rows"], first["used"]) == ("train", 0, 60, 60)
    assert second["used"] == 10 and second["settings"]["domain"] == "news"
    assert first["read"]["sources"] == {"0.tsv": 60} and set(report["read"]["sources"]) == {"0.tsv", "1.jsonl"}
    assert second["epoch"]["en-de"] == {"pairs": 10, "drawn": 1.0}
    assert report["reader"] == "tsv, jsonl"


def test_shares_are_drawn_by_text(tmp_path: Path) -> None:
    rows = sentences(0, 400)
    read = {}
    for reader, order in (("tsv", rows), ("jsonl", rows[::-1])):
        source = written(tmp_path, reader, order, share=0.25)
        read[reader] = {row.texts["en"] for block in read_rows(corpus_of([source]), ReadCounts(), 7) for row in block}
    assert read["tsv"] == read["jsonl"] and 60 < len(read["tsv"]) < 140


def test_a_source_may_have_some_languages(tmp_path: Path) -> None:
    german = [{"en": row["en"], "de": row["de"]} for row in sentences(0, 50)]
    path = tmp_path / "de.jsonl"
    as_jsonl(path, german)
    source = {"reader": "jsonl", "path": str(path), "languages": ["ENG", "deu_Latn"]}
    both = written(tmp_path, "tsv", sentences(100, 60))
    report = prepared(tmp_path / "data", [source, both])[1]
    assert set(report["sources"][0]["epoch"]) == {"en-de", "de-en"}
    with pytest.raises(CorpusError, match=r"corpus.train\[0\] \(jsonl\): .*fr(.|\n)*languages: \[en, de\]"):
        list(read_rows(corpus_of([source | {"languages": None}, both]), ReadCounts()))


def test_a_source_may_be_of_one_direction(tmp_path: Path) -> None:
    train = [
        written(tmp_path, "tsv", sentences(0, 60)),
        written(tmp_path, "jsonl", sentences(200, 30), directions=["en-de"], domain="bt"),
    ]
    store, report = prepared(tmp_path / "data", train)
    into, out = texts(store, "train", "en-de"), texts(store, "train", "de-en")
    assert [one for one in into if one[0].startswith("<bt> ")] == into[len(out) :] != []
    assert len(into) == len(out) + 30 == report["splits"]["train"]["en-de"]["kept"]
    assert len(out) == report["splits"]["train"]["de-en"]["kept"] == len(store.pairs("train", "de-en"))
    assert {target for _, target in into[len(out) :]} == {row["de"] for row in sentences(200, 30)}
    assert not any(
        "<bt>" in text for split in ("valid", "test") for pair in texts(store, split, "en-de") for text in pair
    )
    lengths = store.pairs("train", "en-de").source_lengths
    assert [len(store.pairs("train", "en-de").tokens(index)[0]) for index in range(len(into))] == lengths.tolist()


def test_text_may_be_given_once_for_each_direction(tmp_path: Path) -> None:
    source, held = written(tmp_path, "tsv", sentences(0, 60)), written(tmp_path, "tsv", sentences(200, 20))
    train = [source | {"directions": [name]} for name in ("en-de", "de-en")]
    store, report = prepared(tmp_path / "data", train, languages=["de"], valid=held, test=held)
    assert len(store.pairs("train", "en-de")) == len(store.pairs("train", "de-en")) == 60
    assert report["splits"]["train"]["en-de"]["kept"] == 60


def test_text_of_a_domain_isnt_held_out(tmp_path: Path) -> None:
    train = [written(tmp_path, "tsv", sentences(0, 60)), written(tmp_path, "tsv", sentences(200, 90), domain="bt")]
    store, report = prepared(tmp_path / "data", train)
    assert report["sources"][1]["epoch"]["en-de"]["pairs"] == 90
    assert len(store.pairs("test", "en-de")) < 20


def test_a_source_for_training_alone_gives_no_test_and_loses_what_another_holds_out(tmp_path: Path) -> None:
    same = written(tmp_path, "tsv", sentences(0, 60))
    more = written(tmp_path, "tsv", sentences(0, 150), held_out=False)
    alone, _ = prepared(tmp_path / "alone", same)
    store, _ = prepared(tmp_path / "data", [same, more])
    held_out = {pair for split in ("valid", "test") for pair in texts(alone, split, "en-de")}
    train = texts(store, "train", "en-de")
    assert texts(store, "test", "en-de") == texts(alone, "test", "en-de") != []
    assert len(train) == len(set(train)) == 150 - len(held_out) and not held_out.intersection(train)


def test_max_pairs_leaves_a_sample(tmp_path: Path) -> None:
    train = [written(tmp_path, "tsv", sentences(0, 60)), written(tmp_path, "tsv", sentences(100, 60))]
    whole, before = prepared(tmp_path / "a", train)
    store, report = prepared(tmp_path / "b", train, max_pairs=20)
    kept, all_pairs = texts(store, "train", "en-de"), texts(whole, "train", "en-de")
    assert len(kept) == 20 and [pair for pair in all_pairs if pair in set(kept)] == kept
    assert len({all_pairs.index(pair) // 20 for pair in kept}) > 2  # not only the first
    found = report["splits"]["train"]["en-de"]
    assert found["dropped"]["max pairs"] == before["splits"]["train"]["en-de"]["kept"] - 20
    assert sum(part["epoch"]["en-de"]["pairs"] for part in report["sources"]) == 20
    assert found["source_tokens"] == int(store.pairs("train", "en-de").source_lengths.sum())
    assert prepared(tmp_path / "c", train, max_pairs=20)[0].fingerprint() == store.fingerprint()


@pytest.mark.parametrize("draws", [SeparateDraws, MixedDraws])
def test_sources_are_drawn_by_weight(draws: type[SeparateDraws | MixedDraws]) -> None:
    pairs = ToyPairs([(np.arange(4), np.arange(4))] * 400, parts=[Part(100, 3), Part(300, 1)])
    drawn: Counter[int] = Counter()
    for draw in islice(draws({EN_DE: pairs}, {EN_DE: 1.0}, 60, seed=3), 400):
        drawn.update(draw.indices.tolist())
    first = sum(drawn[row] for row in range(100))
    assert first / drawn.total() == pytest.approx(0.75, abs=0.03)
    times = [drawn[row] for row in range(100)]
    # a window of mixed batches is shuffled: only after all of it, rows have come equally often
    assert max(times) - min(times) <= (2 if draws is SeparateDraws else 50)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0.1, 9)), min_size=1, max_size=4).filter(
        lambda parts: any(pairs for pairs, _ in parts)
    )
)
def test_an_epoch_holds_as_many_rows_as_there_are_pairs(given_parts: list[tuple[int, float]]) -> None:
    parts = [Part(pairs, weight) for pairs, weight in given_parts]
    sizes = sizes_by_weight(parts)
    rows = rows_of_epoch(parts, Direction("en", "de"), 1, 2)
    assert len(rows) == sum(sizes) == sum(part.pairs for part in parts)
    assert [size for size, part in zip(sizes, parts, strict=True) if not part.pairs and size] == []
    assert not len(rows) or 0 <= rows.min() <= rows.max() < sum(part.pairs for part in parts)


def test_weights_reach_the_store(tmp_path: Path) -> None:
    train = [written(tmp_path, "tsv", sentences(0, 60)), written(tmp_path, "tsv", sentences(100, 20), weight=3)]
    store, report = prepared(tmp_path / "data", train)
    parts = store.pairs("train", "en-de").parts
    assert [part.weight for part in parts] == [1, 3]
    second = report["sources"][1]["epoch"]["en-de"]
    assert second["pairs"] == parts[1].pairs
    assert second["drawn"] == pytest.approx(0.75 * sum(part.pairs for part in parts) / parts[1].pairs, abs=0.05)


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ({"train": [{"reader": "tsv", "path": "a"}, {"reader": "tsx", "path": "b"}]}, "train.1.reader"),
        ({"train": []}, "at least 1 item"),
        (
            {"train": {"reader": "tsv", "path": "a"}, "directions": ["en-de", "de-en", "eng-deu"]},
            "directions: en-de is named twice",
        ),
        (
            {"train": {"reader": "tsv", "path": "a"}, "valid": {"reader": "tsv", "path": "a", "weight": 1}},
            "valid: weight: is for training text",
        ),
        ({"train": [{"reader": "tsv", "path": "a", "languages": ["en", "sv"]}]}, "train: languages: .*'sv'"),
        ({"train": [{"reader": "tsv", "path": "a", "languages": ["en"]}]}, "at least 2 items"),
        ({"train": {"reader": "tsv", "path": "a", "directions": ["de-fr"]}}, "train: directions: .*de-fr"),
        (
            {"train": {"reader": "tsv", "path": "a", "directions": ["de-fr"]}},
            "directions: de-fr isn't trained; .*en-fr",
        ),
        ({"train": {"reader": "tsv", "path": "a", "languages": ["de", "fr"]}}, "no direction .* is between de and fr"),
        (
            {"train": {"reader": "tsv", "path": "a", "languages": ["en", "de"], "directions": ["en-fr"]}},
            "train: directions: en-fr: languages of this source are en, de",
        ),
        ({"train": {"reader": "jsonl", "path": ""}}, "the path is empty"),
        ({"train": {"reader": "hf", "path": ""}}, "the path is empty"),
        ({"train": {"reader": "flores", "path": " "}}, "the path is empty"),
        ({"train": {"reader": "tsv", "path": "a", "columns": {"de": "x", "fr": "x"}}}, "both have the column 'x'"),
        ({"train": {"reader": "tsv", "path": "a", "domain": "b t"}}, "domain"),
        ({"train": {"reader": "tsv", "path": "a", "share": 0}}, "share"),
        (
            {"train": {"reader": "tsv", "path": "a"}, "test": {"reader": "tsv", "path": "a", "domain": "bt"}},
            "test: domain: is for training text",
        ),
        (
            {"train": {"reader": "tsv", "path": "a"}, "test": {"reader": "tsv", "path": "a", "held_out": False}},
            "test: held_out: is for training text",
        ),
    ],
)
def test_mistakes_are_told(corpus: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CorpusSettings.model_validate({"languages": ["de", "fr"]} | corpus)


def test_a_source_that_adds_nothing_is_warned_of(tmp_path: Path) -> None:
    source = written(tmp_path, "tsv", sentences(0, 60))
    _, report = prepared(tmp_path / "data", [source, source | {"weight": 3}])
    assert "epoch" not in report["sources"][1]
    (found,) = unused_sources(report)
    assert found.startswith("corpus.train[1] (tsv ") and "rows: 60, used: 60" in found


def test_without_training_text_the_message_says_where_it_went(tmp_path: Path) -> None:
    source = written(tmp_path, "tsv", sentences(0, 60))
    with pytest.raises(CorpusError, match=r"train\[0\]: 60 rows, 0 used.*Raise the share"):
        prepared(tmp_path / "data", source | {"share": 1e-9})
    with pytest.raises(CorpusError, match=r"60 used\. Texts dropped, by rule: characters"):
        prepared(tmp_path / "data", source, filters={"characters": {"min": 900}})
    assert not (tmp_path / "data").exists()


def test_inspect_shows_what_an_epoch_holds(tmp_path: Path) -> None:
    train = [written(tmp_path, "tsv", sentences(0, 60)), written(tmp_path, "tsv", sentences(100, 20), weight=3)]
    prepared(tmp_path / "data", train)
    found = CliRunner().invoke(app, ["inspect", str(tmp_path / "data")])
    assert found.exit_code == 0, found.output
    assert "train[1] tsv" in found.output and "each drawn" in found.output


def test_the_blocks_of_a_reader_dont_matter(tmp_path: Path) -> None:
    rows = sentences(0, 4200)  # more than a block; the header of a table is read with its first one
    stores = []
    for reader in ("tsv", "jsonl"):
        stores.append(prepared(tmp_path / f"{reader} data", written(tmp_path / reader, reader, rows))[0])
    assert stores[0].fingerprint() == stores[1].fingerprint()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=8), st.data())
def test_files_dont_depend_on_how_pairs_come(parts: list[tuple[int, int]], data: st.DataObject) -> None:
    places = [place for place, size in sorted(parts) for _ in range(size)]
    files = []
    for name in ("one", "other"):
        cuts = sorted(data.draw(st.sets(st.integers(1, len(places))), name) | {0, len(places)})
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(encode, "BLOCK_ROWS", 4)
            path = Path(folder) / "pairs.arrow"
            with encode.PairFile(path, pa.uint16(), "train") as file:
                for first, last in pairwise(cuts):
                    for place, group in groupby(range(first, last), places.__getitem__):
                        numbers = list(group)
                        ids = pa.array([[number] * (number % 3) for number in numbers], pa.list_(pa.uint16()))
                        lengths = pa.array([number % 3 for number in numbers], pa.int32())
                        file.write([ids, ids, lengths, lengths], place)
            files.append(path.read_bytes())
            with pa.OSFile(str(path)) as source:
                reader = pa.ipc.open_file(source)
                batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            found = [row for batch in batches for row in batch.column("first").to_pylist()]
            assert found == [[number] * (number % 3) for number in range(len(places))]
            assert all(batch.num_rows <= 4 for batch in batches)
    assert files[0] == files[1]
