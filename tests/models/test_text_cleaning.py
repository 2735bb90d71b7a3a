"""Cleaning of single texts."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

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
        ("خانه\u200cها", "Persian: ZWNJ before the plural"),
        ("کتێب\u200cخانە", "Sorani: ZWNJ in a compound"),
        ("هـ\u200d", "Arabic: ZWJ shows the joining form"),
        ("र\u200d्य", "Marathi: eyelash ra"),
        ("র\u200d্য", "Bengali: ya-phalaa after ra"),
        ("ക്\u200c", "Malayalam: ZWNJ shows the virama"),
        ("ක්\u200dෂ", "Sinhala: ZWJ joins"),
        ("రాజ్\u200cకుమార్", "Telugu: ZWNJ in a compound"),
        ("ರ\u200dಕ", "Kannada: ZWJ after ra"),
        ("ᠠ\u180eᠠ", "Mongolian: the vowel separator"),
        ("👨\u200d👩\u200d👧👍🏽1\ufe0f\u20e3", "emoji: a family, a skin tone, a keycap"),
        ("ab\u034fc", "combining grapheme joiner"),
    ],
    ids=lambda value: value.split(":")[0] if ":" in value else "",
)
def test_what_carries_meaning_is_kept(text: str, kept: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    assert clean_text(text).text == framed(f"  {text}\t").text == normal, kept


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", "Ti\u1ebfng Vi\u1ec7t"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "\ud55c\uae00"),
        ("\u03b1\u0313\u0301", "\u1f04"),
        ("\u0627\u0653", "\u0622"),
        ("o\u0323\u0301 o\u0301\u0323", "\u1ecd\u0301 \u1ecd\u0301"),
        ("\u0958 \u0915\u093c", "\u0915\u093c \u0915\u093c"),
        ("\u09c7\u09be", "\u09cb"),
        ("\u1025\u102e", "\u1026"),
        ("\u30ab\u3099", "\u30ac"),
    ],
    ids=["Vietnamese", "Korean", "Greek", "Arabic", "Yoruba", "Hindi", "Bengali", "Burmese", "Japanese"],
)
def test_equivalent_sequences_are_one_text(typed: str, text: str) -> None:
    assert clean_text(typed).text == clean_text(text).text == framed(typed).text == text


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("\u200fשלום \u200eHTML\u200f!", "שלום HTML!"),
        ("\u202bسلام \u202aC++\u202c\u202c", "سلام C++"),
        ("\u2067مرحبا \u2066v1.0\u2069\u2069\u061c.", "مرحبا v1.0."),
        ("ភាសា\u200bខ្មែរ", "ភាសាខ្មែរ"),
        ("ภาษา\u200bไทย", "ภาษาไทย"),
        ("Donau\u00addampf\u2060schiff", "Donaudampfschiff"),
    ],
    ids=["Hebrew", "Arabic embeddings", "Arabic isolates", "Khmer", "Thai", "German"],
)
def test_layout_is_removed(marked: str, text: str) -> None:
    assert clean_text(marked).text == framed(marked).text == text


def test_the_table_in_the_docs_names_what_the_code_does() -> None:
    """Each row of docs/text.md, by one of its characters."""
    table = (Path(__file__).parents[2] / "docs" / "text.md").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for line in table.split("# How languages")[0].split("\n"):
        if line.startswith("| ") and "U+" in line:
            what, outcome = (cell.strip() for cell in line.split("|")[1:3])
            found[what] = outcome
    assert len(found) >= 8
    for what, outcome in found.items():
        for first, last in re.findall(r"U\+([0-9A-F]{4,5})(?:-(?:U\+)?([0-9A-F]{4,5}))?", what.partition("`e`")[0]):
            for code in range(int(first, 16), int(last or first, 16) + 1):
                text = clean_text(f"a{chr(code)}b").text
                expected = (
                    {f"a{chr(code)}b"} if outcome == "kept" else {"ab"} if outcome == "removed" else {"a b", "ab"}
                )
                assert text in expected, f"U+{code:04X} is {outcome}"


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
