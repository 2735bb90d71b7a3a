"""Cleaning of single texts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.models.text_cleaning import clean_text


@pytest.mark.parametrize(
    ("raw", "text", "controls", "normalised"),
    [
        ("plain text", "plain text", False, False),
        ("", "", False, False),
        ("  two \n\t spaces ", "two spaces", False, True),
        ("no\u00a0break\u202fspaces\u3000here", "no break spaces here", False, True),
        ("e\u0301", "\u00e9", False, True),
        ("a\x00b\x1bc\ufeff", "abc", True, False),
        ("so\u00adft\u200b \u200fx", "soft x", True, False),
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬", False, False),
        ("a\u2581b", "a b", False, True),
        ("\u2585", "", True, False),
        ("\x07 \x00", "", True, True),
    ],
)
def test_cells(raw: str, text: str, controls: bool, normalised: bool) -> None:
    cell = clean_text(raw)
    assert (cell.text, cell.controls, cell.normalised) == (text, controls, normalised)


@given(st.text())
def test_cleaning_is_idempotent_and_normal(raw: str) -> None:
    text = clean_text(raw).text
    assert clean_text(text).text == text
    assert unicodedata.is_normalized("NFC", text) and text == text.strip() and "  " not in text
    assert not any(unicodedata.category(character) == "Cc" for character in text)
