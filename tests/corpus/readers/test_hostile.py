"""Every reader with text that is damaged, too little or too much."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.hostile import CASES, PAIRS, Edit, content, put
from tests.helpers.readers import rows_of

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.rows import ReadCounts
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `datasets` keeps of a data set that it has read."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def no_extra(request: pytest.FixtureRequest) -> None:
    if "catalogs" in request.node.name:
        pytest.importorskip("polib")


def pairs_of(source: dict[str, Any], language: str = "de") -> list[tuple[str, str]]:
    """The rows with text in both languages."""
    rows, _ = rows_of(source, [language])
    return [(row.texts["en"], row.texts[language]) for row in rows if len(row.texts) == 2]


def written(name: str, folder: Path, rows: int = len(PAIRS)) -> tuple[dict[str, Any], Path]:
    """The source, and the file that can be damaged."""
    folder = folder / "text"
    folder.mkdir()
    return CASES[name].write(folder, PAIRS[:rows]) | {"reader": name}, folder / CASES[name].damaged


def refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError) as error:
        pairs_of(source)
    assert message in str(error.value)


def test_every_reader_has_its_cases() -> None:
    assert set(CASES) == set(READERS)


@pytest.mark.parametrize("name", CASES)
def test_all_rows_and_one(name: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert pairs_of(written(name, tmp_path)[0]) == PAIRS
    assert pairs_of(written(name, tmp_path / "one", rows=1)[0]) == PAIRS[:1]


@pytest.mark.parametrize("name", CASES)
def test_empty_files(name: str, tmp_path: Path) -> None:
    source, damaged = written(name, tmp_path)
    for path in damaged.parent.iterdir():
        put(path, b"")
    refused(source, str(damaged.parent.parent if name == "flores" else damaged.parent))


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_cut(name: str, tmp_path: Path) -> None:
    source, damaged = written(name, tmp_path)
    raw = damaged.read_bytes()
    damaged.write_bytes(raw[: len(raw) // 2])
    refused(source, str(damaged))


@pytest.mark.parametrize("name", CASES)
def test_another_encoding(name: str, tmp_path: Path) -> None:
    source, damaged = written(name, tmp_path)
    if damaged.suffix == ".parquet":
        texts = [text.encode("latin-1" if place == 1 else "utf-8") for place, (_, text) in enumerate(PAIRS)]
        german = pa.array(texts).view(pa.string())
        pq.write_table(pq.read_table(damaged).set_column(1, "de", german), damaged)
    else:
        put(damaged, content(damaged).replace("Tür".encode(), "Tür".encode("latin-1")))
    refused(source, f"{damaged.parent if name == 'hf' else damaged}{CASES[name].second}")


@pytest.mark.parametrize("name", CASES)
def test_a_language_that_isnt_there(name: str, tmp_path: Path) -> None:
    source, _ = written(name, tmp_path)
    with pytest.raises(CorpusError, match=r"\bfr\b"):
        pairs_of(source, "fr")


DAMAGES = {
    f"{name}-{kind}": (name, change)
    for name, case in CASES.items()
    for kind, change in (("unequal", case.unequal), ("repeated", case.repeated))
    if change is not None
}


@pytest.mark.parametrize(("name", "change"), DAMAGES.values(), ids=DAMAGES)
def test_sides_of_unequal_length_and_repeated_ids(name: str, change: tuple[Edit, int | str], tmp_path: Path) -> None:
    source, damaged = written(name, tmp_path)
    edit, outcome = change
    edit(damaged)
    if isinstance(outcome, str):
        refused(source, f"{damaged}{outcome}")
    else:
        assert pairs_of(source) == PAIRS[:outcome]


MEASURE = """
import json, re, sys
from pathlib import Path
from tests.helpers.readers import rows_of
from neuronspec.core.errors import CorpusError

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

def told(source):
    try:
        return len(rows_of(source, ["de"])[0])
    except CorpusError as error:
        return str(error)

good, bad = json.loads(sys.argv[1])
found = {name: [told(source), 0] for name, source in good.items()}
for name, source in bad.items():
    before = peak()
    found[name] = [told(source), peak() - before]
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_text_without_an_end_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """Files of some kilobytes that hold a line, unit or text of a gigabyte; all readers in one process, as each starts
    with the same imports."""
    pytest.importorskip("polib")
    good, bad = {}, {}
    for kind, sources in (("good", good), ("bad", bad)):
        for name in CASES:
            (tmp_path / kind / name).mkdir(parents=True)
            sources[name], damaged = written(name, tmp_path / kind / name)
            if kind == "bad":
                CASES[name].endless[0](damaged)
    command = [sys.executable, "-c", MEASURE, json.dumps([good, bad])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    for name, (message, kilobytes) in json.loads(done.stdout.splitlines()[-1]).items():
        path = tmp_path / "bad" / name / "text" / CASES[name].damaged
        assert str(message).startswith(f"{path}{CASES[name].endless[1]}"), message
        assert kilobytes < 150 * 2**10, (name, kilobytes)


@pytest.mark.parametrize("name", ["tsv", "csv", "jsonl", "hf", "parquet", "moses", "flores"])
def test_mistakes_are_found_before_any_text_is_read(name: str, tmp_path: Path) -> None:
    for part in ("first", "second"):
        (tmp_path / part).mkdir()
    first, _ = written("tsv", tmp_path / "first")
    second, damaged = written(name, tmp_path / "second")
    if name in ("moses", "flores"):
        damaged.unlink()
    elif name == "parquet":
        pq.write_table(pq.read_table(damaged).rename_columns(["en", "german"]), damaged)
    else:
        put(damaged, content(damaged).replace(b"de", b"german", 1 if name in ("tsv", "csv") else -1))
    counts = ReadCounts()
    settings = {"split": "train"} if name == "hf" else {}
    corpus = CorpusSettings.model_validate({"languages": ["de"], "train": [first], "test": second | settings})
    with pytest.raises(CorpusError, match=r"\bde\b|text\.de\.gz"):
        next(read_rows(corpus, counts))
    assert not counts.parts


def test_a_split_that_isnt_there_is_found_before_any_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first, second = written("tsv", tmp_path / "first")[0], written("hf", tmp_path / "second")[0]
    corpus = CorpusSettings.model_validate({"languages": ["de"], "train": first, "test": second})
    with pytest.raises(CorpusError, match="there is no split test; it has: train"):
        next(read_rows(corpus, ReadCounts()))


def test_a_language_that_jsonl_lacks_at_first_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"en": "a", "de": "b"}] * 1000 + [{"en": "a", "fr": "c"}]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    source = {"reader": "jsonl", "path": str(path)}
    assert len(rows_of(source, ["de", "fr"])[0]) == 1001
    assert f"{path}, in the first 1000 lines of each file, there is no text in fr" in caplog.text
    with pytest.raises(CorpusError, match="in the first 1000 lines of each file: there is no column for fr"):
        rows_of(source, ["fr"])


def test_words_of_missing_values_are_text(tmp_path: Path) -> None:
    """The library reads CSV files with pandas, which takes such words for missing values."""
    (tmp_path / "train.csv").write_text("en,de\nNone,null\nNA,nan\n,N/A\n")
    rows, _ = rows_of({"reader": "hf", "path": str(tmp_path)}, ["de"])
    assert [dict(row.texts) for row in rows] == [{"en": "None", "de": "null"}, {"en": "NA", "de": "nan"}, {"de": "N/A"}]


def test_files_of_zero_shot_pairs_are_looked_at_too(tmp_path: Path) -> None:
    for pair, german in (("de-en", "eins\nzwei\n"), ("de-fr", "eins\n")):
        for code, text in zip(pair.split("-"), (german, "a\nb\n"), strict=True):
            (tmp_path / f"t.{pair}.{code}").write_text(text)
    (tmp_path / "t.en-fr.en").write_text("a\nb\n")
    (tmp_path / "t.en-fr.fr").write_text("c\nd\n")
    source = {"reader": "moses", "path": str(tmp_path / "t.{pair}.{lang}")}
    corpus = CorpusSettings.model_validate({"languages": ["de", "fr"], "train": source, "test": source})
    with pytest.raises(CorpusError, match=r"t\.de-fr\.de has 1 lines; .*t\.de-fr\.fr has 2 lines"):
        next(read_rows(corpus, ReadCounts(), zero_shot=[("de", "fr")]))
