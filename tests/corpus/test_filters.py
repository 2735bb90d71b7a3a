"""Rules that drop text, in several languages and scripts."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.core.errors import MissingExtraError
from neuronspec.core.settings import without_added
from neuronspec.corpus.filters.cells import dropped, scripts_of
from neuronspec.corpus.filters.near_duplicates import band_hashes
from neuronspec.corpus.filters.pairs import fact_hashes, numbers
from neuronspec.corpus.filters.settings import FilterSettings
from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.settings import TokenizerSettings
from neuronspec.recipe import Recipe
from neuronspec.runs.requirements import check_machine

GERMAN = "Das Haus steht am Ende der Straße, und die Tür ist offen."
ENGLISH = "The house stands at the end of the street, and the door is open."
THAI = "บ้านอยู่ที่ปลายถนนและประตูเปิดอยู่"
JAPANESE = "家は通りの端に建っていて、ドアはスーパーの前で開いています。"
RUSSIAN = "Дом стоит в конце улицы, и дверь открыта."


def left_out(settings: dict[str, Any], code: str, texts: Sequence[str]) -> dict[str, list[str]]:
    """By rule, the texts that it drops."""
    found = dropped(FilterSettings.model_validate(settings), code, texts)
    return {rule: [text for text, gone in zip(texts, mask.tolist(), strict=True) if gone] for rule, mask in found}


def test_length_in_characters() -> None:
    texts = ["", "a", "ab", "abcd", "ab" * 9]
    assert left_out({"characters": {"min": 2, "max": 10}}, "de", texts) == {"characters": ["a", "ab" * 9]}


@pytest.mark.parametrize(
    ("code", "own", "foreign"),
    [
        ("de", GERMAN, RUSSIAN), ("th", THAI, ENGLISH), ("ja", JAPANESE, THAI), ("ru", RUSSIAN, GERMAN),
        ("zh_Hant", "房子在街道的盡頭，門開著。", ENGLISH), ("hi", "घर सड़क के अंत में है 42", ENGLISH),
        ("ar", "البيت في نهاية الشارع والباب مفتوح", ENGLISH), ("ko", "집은 거리 끝에 있고 문이 열려 있다", RUSSIAN),
    ],
)  # fmt: skip
def test_script_share(code: str, own: str, foreign: str) -> None:
    texts = [own, foreign, "", "12 + 3 = ?", f"{own} OK"]
    assert left_out({"script_share": 0.5}, code, texts) == {"script": [foreign]}


def test_a_language_of_ones_own_has_no_script() -> None:
    assert scripts_of("xx_own") == () and left_out({"script_share": 0.5}, "xx_own", [RUSSIAN]) == {}


def test_language_identification() -> None:
    pytest.importorskip("py3langid")
    texts = [GERMAN, ENGLISH, "OK", RUSSIAN, ""]
    assert left_out({"language_id": {}}, "de", texts) == {"language": [ENGLISH, RUSSIAN]}
    assert left_out({"language_id": {}}, "en", texts) == {"language": [GERMAN, RUSSIAN]}
    strict = left_out({"language_id": {"min_characters": 1, "min_probability": 0.99}}, "de", texts)
    assert "OK" in strict["language"] and GERMAN not in strict["language"]
    assert left_out({"language_id": {}}, "gsw", texts) == {}  # not one that py3langid knows


def test_another_model_of_languages_is_noticed(tmp_path: Path) -> None:
    model, filters = tmp_path / "lid.bin", {"language_id": {"model": str(tmp_path / "lid.bin")}}
    corpus = {"languages": ["de"], "train": {"reader": "tsv", "path": "text.tsv"}, "filters": filters}
    settings = CorpusSettings.model_validate(corpus)
    model.write_bytes(b"one")
    before = settings.inputs
    model.write_bytes(b"another")
    assert settings.inputs != before
    assert str(model) in before


def test_repetitions() -> None:
    texts = [
        "bla bla bla bla bla",
        "no no",
        "hahahahahahahaha",
        GERMAN,
        "",
        "x" * 40,
        f"{'abc def ' * 5}end",
        "bla bla bla",
    ]
    found = left_out({"max_repetitions": 2}, "de", texts)["repetition"]
    assert found == [texts[0], texts[2], texts[5], texts[6]]


@given(st.text("abc", min_size=3, max_size=8), st.integers(1, 5), st.integers(1, 4), st.text("xyz", max_size=5))
def test_a_stretch_may_follow_itself_so_often(stretch: str, times: int, most: int, rest: str) -> None:
    text = rest + stretch * (times + 1) + rest
    if times > most:
        assert left_out({"max_repetitions": most}, "de", ["a", text, "b"])["repetition"] == [text]


def test_a_text_is_counted_for_the_first_rule() -> None:
    rules = {"characters": {"max": 5}, "script_share": 0.5}
    assert left_out(rules, "de", [RUSSIAN, "Дом", "Haus"]) == {"characters": [RUSSIAN], "script": ["Дом"]}


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("3,500 men in 1999", "1999 waren es 3.500", True),
        ("12 Äpfel", "१२ सेब", True),
        ("12 of 30", "30 von 12", True),
        ("1 000 000 euros", "1,000,000 euros", True),
        ("10 20", "1020", False),
        ("page 3", "Seite 4", False),
        ("3 and 3", "3", False),
        ("none", "keine", True),
    ],
)  # fmt: skip
def test_numbers(first: str, second: str, alike: bool) -> None:
    one, other = fact_hashes("numbers", [first, second])
    assert (one == other) == alike, (numbers(first), numbers(second))


def test_placeholders() -> None:
    same = fact_hashes("placeholders", ["%s of {n}", "{n} von %s", "<b>x</b> %s {n}", "%s of {m}"])
    assert same[0] == same[1] and len(set(same.tolist())) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"characters": {"min": 9, "max": 3}},
        {"script_share": 0},
        {"max_repetitions": 0},
        {"language_id": {"least": 1}},
        {"near_duplicates": {"threshold": 0.4}},
    ],
)
def test_mistakes_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="min 9 is more|greater than|Extra inputs"):
        FilterSettings.model_validate(settings)


BAD = [
    ("a", "das ist auf der anderen Seite zu kurz"), ("bla bla bla bla bla bla", "das ist das"), (ENGLISH, RUSSIAN),
    ("it has 12 of them", "es hat 13 davon"), ("open %s now", "öffne %d jetzt"),
]  # fmt: skip
"""A pair for each filter."""


def prepared(folder: Path, filters: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The report of a corpus with the bad pairs, and what `inspect --dropped` shows."""
    words = ["".join(letters) for letters in product("abc", repeat=4)]
    good = [(f"the {word}", f"der {word}") for word in words]
    folder.mkdir()
    for split, rows in (("train", good[:60] + BAD), ("valid", good[60:70]), ("test", good[70:])):
        text = "".join(f"{first}\t{second}\n" for first, second in rows)
        (folder / f"{split}.tsv").write_text(f"en\tde\n{text}", encoding="utf-8")
    sources = {split: {"reader": "tsv", "path": folder / f"{split}.tsv"} for split in ("train", "valid", "test")}
    cleaning = {"max_length_ratio": 100, "max_tokens": 1000}
    corpus = {"languages": ["de"], "workers": 1, "filters": filters, "cleaning": cleaning}
    prepare(CorpusSettings.model_validate(corpus | sources), TokenizerSettings(vocabulary=200), folder / "data", seed=3)
    found = CliRunner().invoke(app, ["inspect", str(folder / "data"), "--dropped"])
    assert found.exit_code == 0, found.output
    return json.loads((folder / "data" / "corpus.json").read_text(encoding="utf-8")), found.output


def test_each_filter_counts_and_shows_what_it_drops(tmp_path: Path) -> None:
    filters = {"characters": {"min": 2}, "script_share": 0.5, "max_repetitions": 3}
    report, shown = prepared(tmp_path / "all", filters | {"numbers": True, "placeholders": True})
    cells, pairs = report["cells"]["train"], report["dropped"]["train"]
    assert cells["en"]["characters"] == 1 and cells["en"]["repetition"] == 1 and cells["de"]["script"] == 1
    assert pairs["numbers"] == 1 and pairs["placeholders"] == 1
    shown = " ".join(shown.split())
    for text in (
        "train.tsv:62: a",
        "bla bla bla",
        RUSSIAN[:20],
        "es hat 13 davon | it has 12 of them",
        "öffne %d jetzt",
    ):
        assert text in shown
    everything = prepared(tmp_path / "none", {})[0]["splits"]["train"]["en-de"]["kept"]
    assert everything == 65 and report["splits"]["train"]["en-de"]["kept"] == 60


def test_dropped_text_in_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    texts = {"en": ["a [/INST] [b] :smile:", "x, y"], "fr": []}
    found = {"length ratio": {name: [{name: text} for text in each] for name, each in texts.items()}}
    (tmp_path / "dropped.json").write_text(json.dumps(found), encoding="utf-8")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path), "--dropped"])
    assert shown.exit_code == 0, shown.exception
    assert shown.output.splitlines()[1:] == ["length ratio, en:", "  a [/INST] [b] :smile:", "  x, y"]


def test_dropped_needs_prepared_text(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["inspect", str(tmp_path), "--dropped"])
    assert found.exit_code == 1 and "--dropped takes a run folder or its data folder" in str(found.exception)


def near_duplicates(threshold: float) -> FilterSettings:
    return FilterSettings.model_validate({"near_duplicates": {"threshold": threshold}})


WORDS = ["".join(Random(number).choices("abdefgiklmnoprstu", k=6)) for number in range(3000)]


def edited(text: str, times: int, chance: Random) -> str:
    words = text.split()
    for place in chance.sample(range(len(words)), times):
        words[place] = chance.choice(WORDS) + "x"
    return " ".join(words)


def likeness(first: str, second: str) -> float:
    one, other = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (first, second))
    return len(one & other) / len(one | other)


def test_pairs_above_the_threshold_share_a_band() -> None:
    pytest.importorskip("rensa")
    chance = Random(3)
    texts = [" ".join(chance.sample(WORDS, 20)) for _ in range(1000)]
    changed = [edited(text, chance.randint(0, 18), chance) for text in texts]
    sides = len(texts) // 2
    alike = np.array(list(map(likeness, texts, changed)))
    alike = np.sqrt(alike[:sides] * alike[sides:])
    for threshold in (0.6, 0.8):
        settings = near_duplicates(threshold)
        one, other = (band_hashes(settings, each, 7) for each in (texts, changed))
        same = one == other
        found = (same[:, :sides] & same[:, sides:]).any(axis=0)
        assert found[alike > threshold + 0.1].mean() > 0.97 and found[alike < threshold - 0.2].mean() < 0.1
        assert (band_hashes(settings, [text.upper() for text in texts], 7) == one).all()
        assert (band_hashes(settings, texts[5:], 7) == one[:, 5:]).all()
        assert not (band_hashes(settings, texts, 8) == one).any()
    assert len({*band_hashes(near_duplicates(0.5), ["", "a", "ab", "abcde", "abcdef"], 1)[0].tolist()}) == 5


def corpus_with_near_duplicates(folder: Path, reader: str) -> list[dict[str, Any]]:
    """The sources: distinct pairs, then some of them changed a little, or on one side altogether."""
    chance = Random(11)
    rows = [{"en": " ".join(chance.sample(WORDS, 18)), "de": " ".join(chance.sample(WORDS, 18))} for _ in range(60)]
    little = [{code: f"{text}!" for code, text in row.items()} for row in rows[:20]]
    other = [{"en": row["en"], "de": " ".join(chance.sample(WORDS, 18))} for row in rows[20:40]]
    sources = []
    for place, part in enumerate((rows[:30], rows[30:] + little + other)):
        table = ["en\tde", *(f"{row['en']}\t{row['de']}" for row in part)]
        path = folder / f"{place}.{reader}"
        folder.mkdir(exist_ok=True)
        path.write_text("\n".join(table if reader == "tsv" else map(json.dumps, part)) + "\n", encoding="utf-8")
        sources.append({"reader": reader, "path": str(path)})
    return sources


@pytest.mark.parametrize("workers", [1, 2])
def test_near_duplicates_are_dropped_from_training_text_alone(tmp_path: Path, workers: int) -> None:
    pytest.importorskip("rensa")
    seen = []
    for reader in ("tsv", "jsonl"):
        train = corpus_with_near_duplicates(tmp_path / reader, reader)
        corpus = {"languages": ["de"], "train": train, "valid": train[0], "test": train[0], "workers": workers}
        corpus |= {"cleaning": {"decontaminate": False}, "filters": {"near_duplicates": {}}}
        data = tmp_path / f"{reader} data"
        prepare(CorpusSettings.model_validate(corpus), TokenizerSettings(vocabulary=100), data, seed=3)
        report = json.loads((data / "corpus.json").read_text(encoding="utf-8"))
        splits = {split: found["en-de"] for split, found in report["splits"].items()}
        assert splits["train"]["dropped"] == {"near duplicate": 20} and splits["train"]["kept"] == 80
        assert [splits[split]["kept"] for split in ("valid", "test")] == [30, 30]
        assert report["dropped"]["train"]["near duplicate"] == 20
        seen.append({path.name: path.read_bytes() for path in (data / "tokens").iterdir()})
    assert seen[0] == seen[1]
    shown = CliRunner().invoke(app, ["inspect", str(data), "--dropped"]).output
    assert "near duplicate" in shown and "!" in shown


def test_a_run_that_lacks_rensa_stops_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = corpus_with_near_duplicates(tmp_path / "text", "tsv")
    corpus = {"languages": ["de"], "train": sources, "filters": {"near_duplicates": {}}, "workers": 1}
    recipe = Recipe.model_validate(
        {"name": "r", "corpus": corpus, "training": {"updates": 1}, "continuation": {"updates": 1}}
    )
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(MissingExtraError, match=r"near_duplicates needs .*'neuronspec\[dedup\]'"):
        prepare(recipe.corpus, TokenizerSettings(vocabulary=100), tmp_path / "data", seed=3)
    assert not (tmp_path / "data").exists()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rensa" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"near_duplicates needs .*'neuronspec\[dedup\]'"):
        check_machine(recipe, ["prepare"])


def test_a_new_filter_that_is_off_leaves_older_runs_up_to_date() -> None:
    """Runs were made with other filters before there was this one."""
    older = FilterSettings.model_validate({"numbers": True})
    assert "near_duplicates" not in without_added(older, older.model_dump())
