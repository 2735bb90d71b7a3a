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


@pytest.mark.parametrize("text", ["ende", "en-", "-de", "en-de-fr", "en de", "en-../x", "", "en--de", "en-pt-BR"])
def test_malformed_directions_are_refused(text: str) -> None:
    with pytest.raises(DirectionError):
        Direction.parse(text)


def test_sort_by_source_then_target() -> None:
    texts = ["pt_BR-en", "en-fr", "de-en", "en-de"]
    assert [str(d) for d in sorted(map(Direction.parse, texts))] == ["de-en", "en-de", "en-fr", "pt_BR-en"]
    assert languages_of(map(Direction.parse, texts)) == ["de", "en", "fr", "pt_BR"]
