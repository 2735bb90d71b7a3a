"""Rules that drop text, in several languages and scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.corpus.filters.cells import dropped, scripts_of
from neuronspec.corpus.filters.pairs import fact_hashes, numbers
from neuronspec.corpus.filters.settings import FilterSettings
from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.settings import TokenizerSettings

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
    [{"characters": {"min": 9, "max": 3}}, {"script_share": 0}, {"max_repetitions": 0}, {"language_id": {"least": 1}}],
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


def test_dropped_needs_prepared_text(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["inspect", str(tmp_path), "--dropped"])
    assert found.exit_code == 1 and "--dropped takes a run folder or its data folder" in str(found.exception)
