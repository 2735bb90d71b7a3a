from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.core.direction import (
    Direction,
    Monolingual,
    direction_between,
    languages_of,
    match_direction,
    match_task,
    nearest_directions,
    parse_task,
)
from neuronspec.core.errors import DirectionError

codes = st.from_regex(r"\A[a-z]{2,3}(_[A-Za-z]{2,4})?\Z")


@given(codes, codes)
def test_parse_and_print_are_inverse(source: str, target: str) -> None:
    if source == target:
        with pytest.raises(DirectionError, match="same language"):
            Direction(source, target)
    else:
        direction = Direction(source, target)
        assert Direction.parse(str(direction)) == direction
        assert direction.reverse().reverse() == direction


@pytest.mark.parametrize("text", ["ende", "en-", "-de", "en-de-fr", "en de", "en-../x", "", "en--de", "en-xx-BR", "-"])
def test_malformed_directions_are_refused(text: str) -> None:
    with pytest.raises(DirectionError):
        Direction.parse(text)


def test_sort_by_source_then_target() -> None:
    texts = ["pt_BR-en", "en-fr", "de-en", "en-de"]
    assert [str(d) for d in sorted(map(Direction.parse, texts))] == ["de-en", "en-de", "en-fr", "pt_BR-en"]
    assert languages_of(map(Direction.parse, texts)) == ["de", "en", "fr", "pt_BR"]


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("en-pt-BR", "en", "pt_BR"),
        ("pt-BR-en", "pt_BR", "en"),
        ("zh-Hant-pt-BR", "zh_Hant", "pt_BR"),
        ("deu_Latn-zh-Hant-HK", "de", "zh_HK"),
    ],
)
def test_hyphens_inside_languages(text: str, source: str, target: str) -> None:
    assert Direction.parse(text) == Direction(source, target)


def test_what_can_be_read_in_two_ways_is_refused() -> None:
    with pytest.raises(DirectionError, match=r"can be read as .* or .*; write a region or script with '_'"):
        Direction.parse("es-ar-DZ")


@pytest.mark.parametrize(
    ("text", "among", "found"),
    [
        ("en-de", "de en", "en-de"),
        ("EN-de", "de en", "en-de"),
        ("eng_Latn-DEU", "de en", "en-de"),
        ("en-pt-BR", "en pt pt_BR", "en-pt_BR"),
        ("pt-BR-en", "br en pt_BR", "pt_BR-en"),
        ("en-US-de-AT", "de en", "en-de"),
        ("en-pt", "en pt_BR", "en-pt_BR"),
        ("zh-TW-en", "en zh zh_Hant", "zh_Hant-en"),
        ("de-en", "deu_Latn eng_Latn", "deu_Latn-eng_Latn"),
        ("xx-DE", "de en", "xx-de"),
        ("src-tgt", "", "src-tgt"),
    ],
)
def test_a_direction_in_the_spelling_of_some_languages(text: str, among: str, found: str) -> None:
    assert str(match_direction(text, among.split())) == found
    if text.count("-") == 1:
        assert str(match_direction(Direction(*text.split("-")), among.split())) == found


def test_source_and_target_apart() -> None:
    assert str(direction_between("EN", "pt-BR", ["en", "pt", "pt_BR"])) == "en-pt_BR"
    assert str(direction_between("EN", "pt-BR", [])) == "EN-pt_BR"
    with pytest.raises(DirectionError, match="'pt' may mean"):
        direction_between("en", "pt", ["pt_PT", "pt_BR"])
    with pytest.raises(DirectionError, match="unknown language 'x-y'"):
        direction_between("en", "x-y", ["de"])


@pytest.mark.parametrize(
    ("text", "among", "message"),
    [
        ("en-pt", "en pt_BR pt_PT", "'en-pt' may mean en-pt_BR or en-pt_PT"),
        ("pt-xx", "en pt_BR pt_PT", "'pt' may mean pt_BR or pt_PT"),
        ("en-EN", "en de", "same language"),
        ("ende", "en de", "expected SOURCE-TARGET"),
        (None, "en de", r"a direction is a str such as 'en-de' or a Direction, not NoneType \(None\)"),
        (b"en-de", "en de", "not bytes"),
        (["en-de"], "en de", "not list"),
        (7, "en de", "not int"),
    ],
)
def test_what_is_no_direction_of_some_languages(text: object, among: str, message: str) -> None:
    with pytest.raises(DirectionError, match=message):
        match_direction(text, among.split())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("direction", "known", "hint"),
    [
        ("en-tha", "de-en en-de en-fr fr-en", "valid: en-de, en-fr, de-en, fr-en"),
        ("en-dd", "de-en en-de en-fr", "did you mean 'en-de'? Valid: en-de, en-fr, de-en"),
        ("pt_BR-en", "de-en en-pt en-de pt-en", "did you mean 'pt-en'? Valid: pt-en, de-en, en-de, en-pt"),
        ("en-fi", "de-en en-de en-it", "valid: en-it, en-de, de-en"),
        ("fi-en", "it-en", "valid: it-en"),
        ("en-de", "", ""),
    ],
)
def test_the_nearest_directions_come_first(direction: str, known: str, hint: str) -> None:
    assert nearest_directions(Direction.parse(direction), known.split()) == hint


def test_a_language_alone_is_a_task_and_no_direction() -> None:
    german = parse_task("de")
    assert german == Monolingual.of("de") and str(german) == "de" and (german.source, german.target) == ("de", "de")
    assert german != Direction("de", "en") and parse_task("en-de") == Direction("en", "de")
    assert sorted([Direction("en", "de"), german, Direction("de", "en"), Monolingual.of("fr")]) == [
        german, Direction("de", "en"), Direction("en", "de"), Monolingual.of("fr")
    ]  # fmt: skip
    for text in ("de", "de-de"):
        with pytest.raises(DirectionError):
            Direction.parse(text)
    with pytest.raises(DirectionError, match="language code 'd e'"):
        Monolingual.of("d e")


def test_a_language_is_matched_in_any_spelling() -> None:
    assert match_task("deu_Latn", ["de", "fr"]) == Monolingual.of("de")
    assert match_task(Monolingual.of("DE"), ["de", "fr"]) == Monolingual.of("de")
    assert match_task("EN-de", ["de", "en"]) == Direction("en", "de")
