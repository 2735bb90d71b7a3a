"""Cleaning of single texts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.models.text_cleaning import clean_text, framed


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


@pytest.mark.parametrize(
    "variant",
    [
        unicodedata.normalize("NFD", "Ausgewählte Objekte löschen"),
        "Ausgewählte\u00a0Objekte löschen",
        "Ausgewählte\u202fObjekte\tlöschen",
        "Ausgewählte Objekte lö\u00adschen",
        "\u200bAusgewählte Objekte löschen",
        "\ufeff Ausgewählte  Objekte \u200e löschen \r\n",
        "\u061cAusgewählte Objekte löschen",
    ],
)
def test_spellings_of_one_sentence_are_one_text(variant: str) -> None:
    assert framed(variant).text == clean_text(variant).text == "Ausgewählte Objekte löschen"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("می\u200cخواهم", "Persian: ZWNJ between prefix and stem"),
        ("क्\u200dष", "Devanagari: ZWJ asks for a half form"),
        ("ক্\u200cষ", "Bengali: ZWNJ keeps the virama visible"),
        ("ശ്രീ\u200dയ", "Malayalam: chillu with ZWJ"),
        ("👩\u200d🔬❤\ufe0f", "emoji: joiner and variation selector"),
        ("🏴\U000e0067\U000e0062\U000e007f", "emoji: tags of a flag"),
        ("ｆｕｌｌ ﬁ ²", "compatibility characters"),
        ("שָׁלוֹם", "Hebrew points, composed by NFC as they should be"),
    ],
    ids=lambda value: value.split(":")[0] if ":" in value else "",
)
def test_what_carries_meaning_is_kept(text: str, kept: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    assert clean_text(text).text == framed(f"  {text}\t").text == normal, kept


@pytest.mark.parametrize(
    "line", ["", " ", "\t\r\n", "\u200b", "\ufeff\u00ad", "\u200d", " \u200c\ufe0f ", "\u2581", "\x00"]
)
def test_lines_without_text_pass_through(line: str) -> None:
    found = framed(line)
    assert found.text == "" and found.around("anything") == line


def test_the_frame_is_kept() -> None:
    found = framed("\ufeff\t “Save  as…” \u00a0\r\n")
    assert (found.before, found.text, found.after) == ("\ufeff\t ", "“Save as…”", " \u00a0\r\n")
    assert found.around("x") == "\ufeff\t x \u00a0\r\n"


@given(st.text())
def test_a_line_is_its_frame_and_its_text(line: str) -> None:
    found = framed(line)
    if found.text:
        assert found.text == clean_text(line).text
        middle = line[len(found.before) : len(line) - len(found.after)]
        assert clean_text(middle).text == found.text and found.around(middle) == line
    else:
        assert found.around("x") == line
