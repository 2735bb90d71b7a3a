"""From text to the data folder, end to end on tiny corpora."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.prepared import prepare_recipe
from tests.helpers.worker_functions import DyingCleaner

from neuronspec.core import files
from neuronspec.core.errors import CorpusError, RecipeError
from neuronspec.corpus import prepare as module
from neuronspec.corpus.readers import tsv as tsv_module
from neuronspec.corpus.store import TokenStore
from neuronspec.recipe import Recipe

SYLLABLES = ["ba", "ne", "ti", "ro", "lu", "ka"]


def word(value: int) -> str:
    digits: list[str] = []
    while value or not digits:
        value, digit = divmod(value, len(SYLLABLES))
        digits.append(SYLLABLES[digit])
    return "".join(digits)


def table(rows: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def recipe(corpus: dict[str, Any], **sections: Any) -> Recipe:
    values = {"name": "t", "training": {"updates": 1}, "continuation": {"updates": 1}}
    return Recipe.model_validate(values | {"corpus": corpus, "tokenizer": {"vocabulary": 130}} | sections)


@pytest.fixture
def tsv(tmp_path: Path) -> Path:
    """120 English sentences in German, every second in French, a few dirty rows."""
    rows = [["en", "de", "fr"]]
    rows += [[f"{word(i)} the", f"der {word(i)}", f"le {word(i)}" if i % 2 else ""] for i in range(120)]
    rows += [
        ["ba the", "der ba", ""],
        ["lone\x00  ", "", ""],
        ["x " * 60, "y " * 60, ""],
        ["ba ne ti ro lu ka ba", "z", ""],
    ]
    path = tmp_path / "train.tsv"
    path.write_text(table(rows), encoding="utf-8")
    return path


def tsv_recipe(path: Path, **more: Any) -> Recipe:
    cleaning = {"max_tokens": 40}
    train = {"reader": "tsv", "path": str(path)}
    corpus = {"train": train, "languages": ["de", "fr"], "valid_share": 0.1, "test_share": 0.2}
    return recipe(corpus | {"cleaning": cleaning} | more)


def read_all(store: TokenStore, split: str, direction: str) -> list[tuple[str, str]]:
    pairs = store.pairs(split, direction)
    tokens = [pairs.tokens(index) for index in range(len(pairs))]
    decode: Any = store.tokenizer.decode
    return [(decode(source), decode(target)) for source, target in tokens]


def test_a_table(tmp_path: Path, tsv: Path) -> None:
    prepare_recipe(tsv_recipe(tsv), tmp_path / "data")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "corpus.json",
        "dropped.json",
        "tokenizer",
        "tokens",
    ]
    store = TokenStore.open(tmp_path / "data")
    report = json.loads((tmp_path / "data" / "corpus.json").read_text())
    assert [str(d) for d in store.directions("train")] == ["de-en", "en-de", "en-fr", "fr-en"]
    assert store.tiers == {"high": ["de"], "medium": ["fr"]} == report["tiers"]
    assert report["rows_in_one_language"] == 1
    assert report["dropped"]["train"]["too long"] == 1 and report["dropped"]["train"]["length ratio"] == 1
    sentences: dict[str, set[str]] = {}
    for split in ("train", "valid", "test"):
        for direction in ("en-de", "en-fr"):
            pairs, found = read_all(store, split, direction), report["splits"][split][direction]
            assert len(pairs) == found["kept"] > 0
            assert found["rows"] == found["kept"] + sum(found["dropped"].values())
            assert int(store.pairs(split, direction).source_lengths.sum()) == found["source_tokens"]
            assert all(source.split()[0] == target.split()[1] for source, target in pairs)
            if split != "train":
                texts = store.pairs(split, direction)
                assert list(zip(texts.source_texts(), texts.target_texts(), strict=True)) == pairs
            sentences.setdefault(split, set()).update(source for source, _ in pairs)
    assert not sentences["train"] & sentences["test"] and not sentences["train"] & sentences["valid"]
    assert not sentences["valid"] & sentences["test"]


def test_two_runs_write_the_same_bytes(tmp_path: Path, tsv: Path) -> None:
    for name in ("one", "two"):
        prepare_recipe(tsv_recipe(tsv), tmp_path / name / "data")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) >= 10
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    stores = [TokenStore.open(tmp_path / name / "data") for name in ("one", "two")]
    assert stores[0].fingerprint() == stores[1].fingerprint()


def test_the_number_of_workers_changes_nothing(tmp_path: Path, tsv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsv_module, "read_blocks", partial(tsv_module.read_blocks, size=10))
    for workers in (1, 2, 3):
        prepare_recipe(tsv_recipe(tsv, workers=workers), tmp_path / str(workers))
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2") == snapshot(tmp_path / "3")
    monkeypatch.undo()
    prepare_recipe(tsv_recipe(tsv), tmp_path / "one block")
    report, tokenizer = "corpus.json", "tokenizer/tokenizer.json"
    for name in (report, tokenizer):
        assert (tmp_path / "one block" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    blocks, block = (TokenStore.open(tmp_path / name) for name in ("2", "one block"))
    assert read_all(blocks, "train", "en-fr") == read_all(block, "train", "en-fr")


def test_a_test_sentence_is_test_whatever_the_languages(tmp_path: Path, tsv: Path) -> None:
    prepare_recipe(tsv_recipe(tsv), tmp_path / "both" / "data")
    prepare_recipe(tsv_recipe(tsv, languages=["de"]), tmp_path / "one" / "data")
    both, one = (TokenStore.open(tmp_path / name / "data") for name in ("both", "one"))
    assert both.pairs("test", "en-de").source_texts() == one.pairs("test", "en-de").source_texts()
    assert set(both.pairs("test", "fr-en").target_texts()) <= set(one.pairs("test", "de-en").target_texts())


def test_held_out_text_leaves_the_training_in_all_its_spellings(tmp_path: Path) -> None:
    def write(name: str, *rows: list[str]) -> str:
        (tmp_path / name).write_text(table([["en", "de"], *rows]), encoding="utf-8")
        return str(tmp_path / name)

    rows = [[f"{word(i)} the", f"der {word(i)}"] for i in range(40)]
    leaks = [["TEST one", "neu eins"], ["other", "Test 5 Ziel."], ["valid. one", "neu zwei"], ["test", "Ziel"]]
    corpus = {
        "reader": "tsv",
        "languages": ["de"],
        "train": write("train.tsv", *rows, *leaks),
        "valid": write("valid.tsv", ["valid one", "Valides Ziel"]),
        "test": write("test.tsv", ["Test one!", "Test 3 Ziel"], ["Test one!", "Test 3 Ziel"], ["same", "same"]),
    }
    prepare_recipe(recipe(corpus), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    kept = [source for source, _ in read_all(store, "train", "en-de")]
    assert len(kept) == 41 and kept[-1] == "test"
    assert store.pairs("test", "de-en").target_texts() == ["Test one!", "Test one!", "same"]
    report = json.loads((tmp_path / "data" / "corpus.json").read_text())
    assert report["splits"]["train"]["en-de"]["dropped"] == {"held out": 3}


def test_directions_beside_the_pivot(tmp_path: Path, tsv: Path) -> None:
    prepare_recipe(tsv_recipe(tsv, directions=["de-fr", "fr-de", "en-de"]), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    assert [str(d) for d in store.directions("train")] == ["de-fr", "en-de", "fr-de"]
    assert all(source.split()[1] == target.split()[1] for source, target in read_all(store, "train", "de-fr"))


def test_a_tree_of_catalogs(tmp_path: Path) -> None:
    pytest.importorskip("polib")
    for code, save in {"de": "der", "fr": "le"}.items():
        folder = tmp_path / "po" / "app" / "locale" / code / "LC_MESSAGES"
        folder.mkdir(parents=True)
        entries = [f'msgid "the {word(i)} %(n)s <b>"\nmsgstr "%(n)s <b> {save} {word(i)}"\n' for i in range(60)]
        header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
        (folder / "app.po").write_text("\n".join([header, *entries]), encoding="utf-8")
    corpus = {"train": {"reader": "catalogs", "path": str(tmp_path / "po")}, "languages": ["de", "fr"]}
    prepare_recipe(recipe(corpus | {"valid_share": 0.2, "test_share": 0.2}), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    texts = store.pairs("test", "en-de")
    assert len(texts) > 0 and all("%(n)s <b>" in text for text in texts.source_texts() + texts.target_texts())
    assert all("%(n)s <b>" in side for pair in read_all(store, "train", "fr-en") for side in pair)


def test_the_table_shows_every_pair_once(
    tmp_path: Path, tsv: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    caplog.set_level(logging.INFO, logger="neuronspec")
    prepare_recipe(tsv_recipe(tsv), tmp_path / "data")
    shown = caplog.text
    assert shown.count("en-de") == shown.count("en-fr") == 1 and "de-en" not in shown
    assert "length ratio" in shown and "too long" in shown


def test_a_direction_without_text_is_an_error(tmp_path: Path, tsv: Path) -> None:
    with pytest.raises(CorpusError, match=r"en-fr: no train pair; \d+ rows, dropped: \d+ empty"):
        tsv.write_text(tsv.read_text().replace("le ", ""))
        lines = [line.split("\t") for line in tsv.read_text().splitlines()]
        tsv.write_text(table([lines[0], *([*cells[:2], ""] for cells in lines[1:])]))
        prepare_recipe(tsv_recipe(tsv), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_failed_prepare_leaves_the_earlier_folder_whole(
    tmp_path: Path, tsv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "run" / "data"
    prepare_recipe(tsv_recipe(tsv), data)
    before = snapshot(data)
    with pytest.raises(RecipeError, match="tokenizer.vocabulary is 90000"):
        prepare_recipe(tsv_recipe(tsv).model_copy(update={"tokenizer": _vocabulary(90_000)}), data)
    for step in ("check_directions", "write_json"):

        def interrupt(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, step, interrupt)
            prepare_recipe(tsv_recipe(tsv), data)
    tsv.write_text("en\tde\tfr\nbroken\n")
    with pytest.raises(CorpusError, match=r"train\.tsv:2"):
        prepare_recipe(tsv_recipe(tsv), data)
    assert snapshot(data) == before
    assert [path.name for path in data.parent.iterdir()] == ["data"]


def _vocabulary(size: int) -> Any:
    from neuronspec.models.settings import TokenizerSettings

    return TokenizerSettings(vocabulary=size)


def test_after_a_kill_the_next_prepare_cleans_up(tmp_path: Path, tsv: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as killed:
        killed.wait()
    data = tmp_path / "data"
    prepare_recipe(tsv_recipe(tsv), data)
    before = snapshot(data)
    # Killed while writing, and killed between the two renames.
    new, old = (data.with_name(f".data.{files._machine()}-{killed.pid}.{kind}") for kind in ("new", "old"))
    (new / "rows").mkdir(parents=True)
    data.rename(old)
    tsv.write_text("en\tde\tfr\nbroken\n")
    with pytest.raises(CorpusError):
        prepare_recipe(tsv_recipe(tsv), data)
    assert snapshot(data) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "train.tsv"]


def test_a_killed_worker_leaves_nothing_behind(tmp_path: Path, tsv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "run" / "data"
    prepare_recipe(tsv_recipe(tsv), data)
    before = snapshot(data)
    monkeypatch.setattr(tsv_module, "read_blocks", partial(tsv_module.read_blocks, size=10))
    monkeypatch.setattr(module, "Cleaner", DyingCleaner)
    with pytest.raises(CorpusError, match="a worker process that prepares text was killed"):
        prepare_recipe(tsv_recipe(tsv, workers=2), data)
    assert snapshot(data) == before and [path.name for path in data.parent.iterdir()] == ["data"]
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("bytes_a_file", [1_000, 6_000])
def test_a_full_disk_is_one_readable_error(tmp_path: Path, tsv: Path, bytes_a_file: int) -> None:
    # A file that may not grow fails as a full disk does, without a disk of its own.
    program = """
import resource, sys
from pathlib import Path
from tests.corpus import test_prepare
from tests.helpers.prepared import prepare_recipe
from neuronspec.core.errors import CorpusError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    prepare_recipe(test_prepare.tsv_recipe(Path(sys.argv[1])), Path(sys.argv[2]))
except CorpusError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tsv), str(tmp_path / "run" / "data"), str(bytes_a_file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "data: can't be written: File too large" in done.stdout and "free some space" in done.stdout
    assert list((tmp_path / "run").iterdir()) == []


def test_references_are_kept_as_read_and_sources_cleaned(tmp_path: Path) -> None:
    def write(name: str, *rows: list[str]) -> str:
        (tmp_path / name).write_text(table([["en", "de"], *rows]), encoding="utf-8", newline="")
        return str(tmp_path / name)

    nfd = unicodedata.normalize("NFD", "schön")
    test = [
        ["  two\u00a0words ", f" {nfd}\u00a0! "],
        ["shy\u00adhyphen", "Bild\u00adschirm \u200ftext"],
        ["plain", "einfach"],
        ["line\rbreak", "Zeilen\rumbruch"],
    ]
    corpus = {
        "reader": "tsv",
        "languages": ["de"],
        "train": write("train.tsv", *([f"{word(i)} the", f"der {word(i)}"] for i in range(40)), ["x", "schön !"]),
        "valid": write("valid.tsv", ["valid one", f"Valides {nfd}"]),
        "test": write("test.tsv", *test),
    }
    prepare_recipe(recipe(corpus), tmp_path / "data")
    store = TokenStore.open(tmp_path / "data")
    pairs = store.pairs("test", "en-de")
    assert pairs.source_texts() == ["two words", "shyhyphen", "plain", "line break"]
    assert pairs.references() == [f" {nfd}\u00a0! ", "Bild\u00adschirm \u200ftext", "einfach", "Zeilen umbruch"]
    assert pairs.target_texts() == ["schön !", "Bildschirm text", "einfach", "Zeilen umbruch"]
    assert store.pairs("test", "de-en").references()[0] == "  two\u00a0words "
    assert store.pairs("valid", "en-de").references() == ["Valides schön"]
    assert store.references == json.loads((tmp_path / "data" / "corpus.json").read_text())["references"] == "as read"
    dropped = json.loads((tmp_path / "data" / "corpus.json").read_text())["splits"]["train"]["en-de"]["dropped"]
    assert dropped == {"held out": 1}, "the cleaned reference is in the training text"
