"""The reader of TED talks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row

TALKS = {
    "de": [["Guten Tag.", "Ich baue Brücken & Türme."], ["Danke."]],
    "en": [["Good day.", "I build bridges & towers."], ["Thank you."]],
}


def train(talks: list[list[str]]) -> str:
    return "".join(
        f"<url>http://www.ted.com/talks/{number}.html</url>\n<keywords>talks, bridges</keywords>\n"
        f"<speaker>A Speaker</speaker>\n<talkid>{number}</talkid>\n<title>A title</title>\n"
        f'<description>TED Talk: a description</description>\n<reviewer href="http://x"></reviewer>\n'
        + "".join(f" {text} \n" for text in talk)
        for number, talk in enumerate(talks, start=1)
    )


def xml(talks: list[list[str]], language: str) -> str:
    kind = "srcset" if language == "de" else "refset"
    docs = "".join(
        f'<doc docid="{number}" genre="lectures">\n<url>http://www.ted.com</url>\n<title>A title</title>\n'
        + "".join(f'<seg id="{place}"> {text} </seg>\n' for place, text in enumerate(talk, start=1))
        + "</doc>\n"
        for number, talk in enumerate(talks, start=1)
    )
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<mteval>\n<{kind} setid="x" srclang="de">\n'
    return (head + docs + f"</{kind}>\n</mteval>\n").replace(" & ", " &amp; ")


def write(folder: Path, talks: dict[str, list[list[str]]] = TALKS, pair: str = "de-en") -> Path:
    (folder / pair).mkdir(exist_ok=True)
    for code, texts in talks.items():
        (folder / pair / f"train.tags.{pair}.{code}").write_text(train(texts), encoding="utf-8")
        (folder / pair / f"IWSLT17.TED.tst2010.{pair}.{code}.xml").write_text(xml(texts, code), encoding="utf-8")
    (folder / pair / "README").write_text("IWSLT\n")
    return folder


def test_training_text(tmp_path: Path) -> None:
    counts = ReadCounts()
    rows = read_source({"reader": "iwslt", "path": write(tmp_path), "parts": ["train"]}, ["deu_Latn"], counts)
    assert rows == [
        Row({"deu_Latn": "Guten Tag.", "en": "Good day."}, "train.de-en:8"),
        Row({"deu_Latn": "Ich baue Brücken & Türme.", "en": "I build bridges & towers."}, "train.de-en:9"),
        Row({"deu_Latn": "Danke.", "en": "Thank you."}, "train.de-en:17"),
    ]
    assert counts.sources == {"train.de-en": 3}
    assert counts.skipped == {"deu_Latn": {"about the talk": 14}, "en": {"about the talk": 14}}


def test_development_and_test_sets(tmp_path: Path) -> None:
    for part in ("dev2010", "tst2010"):
        write(tmp_path)
        for path in tmp_path.rglob("*tst2010*"):
            path.rename(path.with_name(path.name.replace("tst2010", part)))
    rows = read_source({"reader": "iwslt", "path": tmp_path, "parts": ["tst2010", "dev2010"]}, ["de"])
    assert [row.texts["de"] for row in rows] == [text for talk in TALKS["de"] for text in talk] * 2
    assert [row.origin for row in rows][::3] == ["tst2010.de-en:7", "dev2010.de-en:7"]


@pytest.mark.parametrize("part", ["train", "tst2010"])
def test_sentences_that_do_not_belong_together(tmp_path: Path, part: str) -> None:
    write(tmp_path, TALKS | {"en": [["Good day."], ["Thank you."]]})
    with pytest.raises(CorpusError, match=r":\d+ is sentence 2 of talk 1 and .*:\d+ is sentence 1 of talk 2"):
        read_source({"reader": "iwslt", "path": tmp_path, "parts": [part]}, ["de"])
    write(tmp_path, TALKS | {"en": TALKS["en"][:1]})
    with pytest.raises(CorpusError, match=r":\d+ is sentence 1 of talk 2 and .* ends; unpack both"):
        read_source({"reader": "iwslt", "path": tmp_path, "parts": [part]}, ["de"])


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(CorpusError, match=r"no files of de-en for 'tst2011'; .* named like IWSLT17.TED.tst2011.de-en"):
        read_source({"reader": "iwslt", "path": tmp_path, "parts": ["tst2011"]}, ["de"])
    german = tmp_path / "de-en/IWSLT17.TED.tst2010.de-en.de.xml"
    german.write_text(german.read_text(encoding="utf-8").replace("&amp;", "&"), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"tst2010.de-en.de.xml:8: not XML"):
        read_source({"reader": "iwslt", "path": tmp_path, "parts": ["tst2010"]}, ["de"])
    write(tmp_path, pair="en-de")
    with pytest.raises(CorpusError, match="two sets of files for de and en"):
        read_source({"reader": "iwslt", "path": tmp_path, "parts": ["train"]}, ["de"])


@pytest.mark.parametrize("part", ["train", "tst2010"])
def test_entities_are_characters_once(tmp_path: Path, part: str) -> None:
    talks = {"de": [["F&amp;A &lt;hier&gt; &quot;x&quot;"]], "en": [["Q&amp;A &amp;lt; it&apos;s"]]}
    (row,) = read_source({"reader": "iwslt", "path": write(tmp_path, talks), "parts": [part]}, ["de"])
    assert row.texts == {"de": 'F&A <hier> "x"', "en": "Q&A &lt; it's"}
