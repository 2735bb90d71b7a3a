"""SubRip and WebVTT: what a cue says is translated; all else stays."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.helpers.documents import EN_DE, Fixed, Upper, through

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import translate_document

SRT = """1
00:00:01,000 --> 00:00:02,000 X1:10 X2:20
<i>good morning</i>, my
dear old friend.

2
00:00:03,000 --> 00:00:04,000
- who is it?
- {\\an8}careless {name} & me

0003
00:00:05.000 --> 00:00:06.5
1984

4
00:00:07,000 --> 00:00:08,000

5
00:00:09,000 --> 00:00:10,000
after a

blank line"""

VTT = """WEBVTT - a title
Kind: captions

STYLE
::cue(b) { color: red }

NOTE
not this --
either

REGION
id:fred

intro
00:01.000 --> 00:02.000 align:start
<v.loud Mary>bread &amp; <b>butter</b>
<00:01.500>again

00:00:03.000 --> 00:00:04.000
one &lt; two
"""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_subrip(tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str, mark: str) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    expected = (
        SRT.replace("<i>good morning</i>, my\ndear old friend.", "<i>GOOD MORNING</i>, MY\nDEAR OLD FRIEND.")
        .replace("who is it?", "WHO IS IT?")
        .replace("after a\n\nblank line", "AFTER A\n\nBLANK LINE")
    )
    assert through(tmp_path, "a.srt", mark + SRT.replace("\n", end)) == mark + expected.replace("\n", end)
    assert caplog.messages[0] == "translated 4 of 5 texts"
    if end != "\r":
        assert caplog.messages[2].endswith("a.srt:9: the translation is without {name}")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_webvtt(tmp_path: Path, end: str) -> None:
    expected = VTT.replace("one &lt; two", "ONE &lt; TWO").replace(
        "bread &amp; <b>butter</b>\n<00:01.500>again", "BREAD &amp;\n<b>BUTTER</b> <00:01.500>AGAIN"
    )
    assert through(tmp_path, "a.vtt", VTT.replace("\n", end)) == expected.replace("\n", end)


def test_a_cue_has_as_many_lines_afterwards(tmp_path: Path) -> None:
    head = "1\n00:00:01,000 --> 00:00:02,000\n"
    engine = Fixed({
        "we go home now": "wir gehen jetzt alle zusammen nach Hause",
        "fine day": "Tag",
        "we like rain": "私たちは雨が好きです。",
    })  # fmt: skip
    for source, expected in (
        ("we go\nhome now", "wir gehen jetzt alle\nzusammen nach Hause"),
        ("fine\nday", "Tag"),
        ("we like\nrain", "私たちは雨\nが好きです。"),
    ):
        assert through(tmp_path, "a.srt", f"{head}{source}\n", engine) == f"{head}{expected}\n"


def test_cues_without_a_blank_line_between(tmp_path: Path) -> None:
    content = "1\n00:00:01,000 --> 00:00:02,000\none two three\n2\n00:00:03,000 --> 00:00:04,000\ntwo\n3"
    expected = content.replace("one two three", "ONE TWO THREE").replace("two\n3", "TWO\n3")
    assert through(tmp_path, "a.srt", content) == expected


def test_utf_16_stays(tmp_path: Path) -> None:
    content = "1\r\n00:00:01,000 --> 00:00:02,000\r\nschön\r\n"
    (tmp_path / "a.srt").write_bytes(content.encode("utf-16"))
    translate_document(Upper(), EN_DE, str(tmp_path / "a.srt"), tmp_path / "out.srt")  # type: ignore[arg-type]
    assert (tmp_path / "out.srt").read_bytes() == content.replace("schön", "SCHÖN").encode("utf-16")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.srt", "just text\n", r"a.srt:1: not SubRip: 'just text' stands before any times"),
        ("a.srt", "1\n\n7\n", r"a.srt:1: not SubRip: '1' stands before any times"),
        ("a.srt", "1\n00:00:01,000 -> x\n", r"a.srt:1: not SubRip"),
        ("a.srt", "1\n00:01,000 --> 00:02,000\na\n", r"a.srt:2: not the times of a cue: '00:01,000 --> 00:02,000'"),
        (
            "a.srt",
            b"1\n00:00:01,000 --> 00:00:02,000\nsch\xf6n\n",
            r"a.srt:3: not valid UTF-8 \(byte 0xf6 at column 4\)",
        ),
        ("a.srt", b"1\n\x000\x000", r"a.srt:2: not text, or UTF-16 without a byte order mark"),
        ("a.vtt", "1\n00:01.000 --> 00:02.000\na\n", r"a.vtt:1: not WebVTT: it begins with '1"),
        ("a.vtt", "", r"a.vtt:1: not WebVTT"),
        ("a.vtt", "WEBVTT\n\nid\nno times\n", r"a.vtt:3: not WebVTT: 'id' has no times"),
        ("a.vtt", "WEBVTT\n\n00:01,000 --> 00:02,000\na\n", r"a.vtt:3: not the times of a cue"),
    ],
)
def test_other_files_are_told_and_nothing_is_written(
    tmp_path: Path, name: str, content: bytes | str, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        through(tmp_path, name, content)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "content"), [("a.srt", ""), ("a.srt", "\n\n"), ("a.vtt", "WEBVTT"), ("a.vtt", "WEBVTT\n\n")]
)
def test_files_without_cues(tmp_path: Path, name: str, content: str) -> None:
    assert through(tmp_path, name, content) == content


def test_cues_of_webvtt_without_a_blank_line_before_them(tmp_path: Path) -> None:
    cue = "00:01.000 --> 00:02.000\n{}\n"
    content = "WEBVTT - title\nKind: captions\n" + cue * 2 + "\nname\n" + cue * 2 + "\nNOTE stays\n"
    found = through(tmp_path, "a.vtt", content.format("one", "two", "three", "four"))
    assert found == content.format("ONE", "TWO", "THREE", "FOUR")
    with pytest.raises(CorpusError, match="a.vtt:2: not the times of a cue"):
        through(tmp_path, "a.vtt", "WEBVTT\n1 --> 2\none\n")


def test_speakers_in_italics_keep_their_lines(tmp_path: Path) -> None:
    time = "1\n00:00:01,000 --> 00:00:02,000\n"
    cue = time + "<i>- hi you.</i>\n{\\an8}<i>- good morning to you, and welcome.</i>\n"
    found = through(tmp_path, "a.srt", cue)
    assert "- HI YOU.<" in found and "- GOOD MORNING TO YOU, AND WELCOME.<" in found
    assert found.lower() == cue
