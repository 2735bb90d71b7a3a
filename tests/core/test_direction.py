from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.core.direction import Direction, languages_of
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
