"""Translation memories: what is reused, how it is marked, and damaged files."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path
from typing import Any

import polib
import pytest
from tests.helpers.marking import Marking

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.deploy.documents.document import Options, translate_document
from neuronspec.models.text_cleaning import framed

EN_DE = Direction("en", "de")


def unit(english: str, german: str, date: str = "20200101T000000Z", tag: str = "de-DE", more: str = "") -> str:
    source = f'<tuv xml:lang="EN-us"><seg>{english}</seg></tuv>'
    return f'<tu changedate="{date}">{source}<tuv xml:lang="{tag}"{more}><seg>{german}</seg></tuv></tu>\n'


def tmx(*units: str) -> str:
    return f'<?xml version="1.0"?>\n<tmx version="1.4"><header srclang="en"/><body>\n{"".join(units)}</body></tmx>\n'


def memory(folder: Path, *units: str, direction: str = "en-de") -> ns.TranslationMemory:
    (folder / "memory.tmx").write_text(tmx(*units), encoding="utf-8")
    return ns.TranslationMemory([folder / "memory.tmx"], direction)


def found(memory: ns.TranslationMemory, text: str) -> str | None:
    match = memory.find(text)
    return match.text if match else None


def test_exact_texts_are_found(tmp_path: Path) -> None:
    known = memory(tmp_path, unit("Save as", "Sichern\u00a0als"), unit("  one\n   two ", "eins\n   zwei"))
    assert found(known, "Save as") == found(known, "Save\u00a0as") == "Sichern\u00a0als"
    assert found(known, "\tSave  as\n") == "\tSichern\u00a0als\n", "the frame is the text's"
    assert found(known, "save as") is None and found(known, "Save as…") is None and found(known, " ") is None
    assert found(known, "one two") == "eins zwei", "the lines were only wrapped"
    assert found(known, "one\r\ntwo") == "eins\n   zwei"
    assert found(known, "one\ntwo\n\nthree") is None


def test_the_most_frequent_translation_is_taken_then_the_latest(tmp_path: Path) -> None:
    often = [unit("Save", "Speichern"), unit("Save", "Sichern"), unit("Save", "Speichern ")]
    late = [unit("Open", "Öffnen", "20240101T000000Z"), unit("Open", "Aufmachen", "20230101T000000Z")]
    last = [unit("Close", "Zumachen", ""), unit("Close", "Schließen", "")]
    known = memory(tmp_path, *often, *late, *last, unit("Quit", "Beenden"))
    match = known.find("Save")
    assert match is not None and match.times == {"Speichern": 2, "Sichern": 1} and not match.is_sure
    assert (found(known, "Open"), found(known, "Close")) == ("Öffnen", "Schließen")
    quit_ = known.find("Quit")
    assert quit_ is not None and quit_.is_sure
    assert len(known) == 7
    chosen = [("Save", "Speichern"), ("Open", "Öffnen"), ("Close", "Schließen"), ("Quit", "Beenden")]
    assert sorted(known) == sorted(chosen)


def test_languages_in_any_spelling_and_either_direction(tmp_path: Path) -> None:
    units = [unit("Save", "Sichern", tag="deu"), unit("Open", "Ouvrir", tag="fr"), unit("No", "Nein", tag="DE")]
    assert found(memory(tmp_path, *units, direction="eng_Latn-deu_Latn"), "Save") == "Sichern"
    back = memory(tmp_path, *units, direction="de-en")
    assert found(back, "Sichern") == "Save" and found(back, "Nein") == "No" and len(back) == 2
    with pytest.raises(
        CorpusError, match=r"memory.tmx has no finished translations from en to it; its languages are DE, EN-us"
    ):
        memory(tmp_path, *units, direction="en-it")


def test_what_cannot_be_trusted_is_left_out(tmp_path: Path) -> None:
    known = memory(
        tmp_path,
        unit("%s files", "Dateien"),
        unit("a <ph x='1'>%s</ph> b", "b a"),
        unit("a <hi>b</hi>", "ein <hi>b</hi>"),
        unit("made here", "hier gemacht", more=' creationid="neuronspec"'),
        unit("empty", " "),
    )
    assert (len(known), known.left_out) == (1, 3)
    assert found(known, "a b") == "ein b"


def test_a_memory_of_units_with_markup_alone_is_empty(tmp_path: Path) -> None:
    known = memory(tmp_path, unit("a <ph/> b", "c <ph/> d"))
    assert (len(known), known.left_out) == (0, 1)


def test_formatting_is_no_part_of_a_text(tmp_path: Path) -> None:
    bold = '<bpt i="1">&lt;b>{}</bpt>{}<ept i="1">&lt;/b></ept>'
    english, german = bold.format("<sub>x</sub>", "here"), bold.format("", "hier")
    known = memory(tmp_path, unit(f"Click {english} now", f"Jetzt {german} klicken"))
    assert found(known, "Click here now") == "Jetzt hier klicken"
    start = '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en"><body>'
    source = '<trans-unit id="1"><source>Click <g id="1">here</g> now</source></trans-unit>'
    after = through(tmp_path, "a.xlf", f"{start}{source}</body></file></xliff>", memory=known)
    assert '<target state="needs-review-translation">Jetzt <g id="1">hier</g> klicken</target>' in after


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tmx(unit("a", "b")).replace("</seg></tuv></tu>", "</seg></tu>"), r"memory.tmx:3: not XML: mismatched tag"),
        (tmx(unit("a", "b"))[:150], r"memory.tmx:\d: not XML: "),
        ("", "memory.tmx:1: not XML: no element found"),
        ("<html/>", "memory.tmx:1: not TMX: its root is 'html'"),
        ('<?xml version="1.0" encoding="klingon"?><tmx/>', "memory.tmx:1: its encoding can't be read"),
        ("<tmx/>", "has no finished translations from en to de; its languages are not named"),
    ],
    ids=["tag", "cut", "empty", "root", "encoding", "nothing"],
)
def test_damaged_memories_give_one_message(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "memory.tmx").write_text(content)
    with pytest.raises(CorpusError, match=message):
        ns.TranslationMemory([tmp_path / "memory.tmx"], EN_DE)


def test_files_that_are_no_memory(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="none.tmx can't be read"):
        ns.TranslationMemory([tmp_path / "none.tmx"], EN_DE)
    with pytest.raises(RecipeError, match=r"a.txt is no translation memory; supported: .tmx, .po, .xlf, .xliff"):
        ns.TranslationMemory([tmp_path / "a.txt"], EN_DE)


def test_a_large_memory_is_not_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "memory.tmx").open("w") as stream:
        stream.write(tmx().partition("</body>")[0])
        for number in range(8_000):
            stream.write(unit(f"text {number} " + "word " * 20, f"Text {number} " + "Wort " * 20))
        stream.write("</body></tmx>")
    tracemalloc.start()
    known = ns.TranslationMemory([tmp_path / "memory.tmx"], EN_DE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(known) == 8_000 and (tmp_path / "memory.tmx").stat().st_size > 2_500_000
    assert peak < 1_000_000


PO = (
    'msgid ""\nmsgstr ""\n"Language: {}\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    '"PO-Revision-Date: 2024-01-01 10:00+0100\\n"\n"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n\n{}'
)


def test_finished_catalogs_are_memories(tmp_path: Path) -> None:
    entries = 'msgid "Save"\nmsgstr "Sichern"\n\n#, fuzzy\nmsgid "Open"\nmsgstr "Auf"\n\nmsgid "Close"\nmsgstr ""\n'
    entries += '\nmsgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"\n'
    (tmp_path / "done.po").write_text("\ufeff" + PO.format("de", entries), encoding="utf-8")
    known = ns.TranslationMemory([tmp_path / "done.po"], EN_DE)
    assert len(known) == 1 and found(known, "Save") == "Sichern"
    with pytest.raises(CorpusError, match="no finished translations from en to fr; its languages are de"):
        ns.TranslationMemory([tmp_path / "done.po"], "en-fr")


def test_finished_units_of_xliff_are_memories(tmp_path: Path) -> None:
    def file(target: str, *units: str) -> str:
        return f'<file source-language="en-US" {target}><body><group>{"".join(units)}</group></body></file>'

    def one(source: str, target: str, state: str = "", more: str = "") -> str:
        return f"<trans-unit {more}><source>{source}</source><target {state}>{target}</target></trans-unit>"

    german = [
        one("Save", "Sichern"),
        one("Open", "Auf", 'state="final"'),
        one("Shut", "Zu", 'state="needs-review-translation"'),
        one("Quit", "Ende", more='approved="no"'),
        one("a <g>b</g>", "<g>c</g>"),
    ]
    files = file('target-language="de"', *german) + file("", one("Lost", "Verloren"))
    files += file('target-language="fr"', one("Save", "Enregistrer"))
    (tmp_path / "a.xlf").write_text(f'<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2">{files}</xliff>')
    known = ns.TranslationMemory([tmp_path / "a.xlf"], EN_DE)
    assert dict(known) == {"Save": "Sichern", "Open": "Auf"} and known.left_out == 1
    segments = "".join(
        f'<unit id="{state}"><segment state="{state}"><source>{state}</source><target>x</target></segment></unit>'
        for state in ("initial", "translated", "reviewed", "final")
    )
    start = '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de-DE"><file id="1">'
    (tmp_path / "b.xliff").write_text(f"{start}{segments}</file></xliff>")
    assert dict(ns.TranslationMemory([tmp_path / "b.xliff"], EN_DE)) == {"reviewed": "x", "final": "x"}
    with pytest.raises(
        CorpusError, match="a.xlf has no finished translations from en to it; its languages are de, en-US, fr"
    ):
        ns.TranslationMemory([tmp_path / "a.xlf"], "en-it")
    (tmp_path / "a.xlf").write_text("<html>")
    with pytest.raises(CorpusError, match=r"a.xlf:1: not XLIFF: its root is 'html'"):
        ns.TranslationMemory([tmp_path / "a.xlf"], EN_DE)


def through(folder: Path, name: str, content: str, **options: Any) -> str:
    (folder / name).write_bytes(content.encode())
    out = folder / f"out-{name}"
    translate_document(Marking(), EN_DE, str(folder / name), out, Options(**options))  # type: ignore[arg-type]
    return out.read_bytes().decode()


def test_in_catalogs_agreed_translations_are_not_fuzzy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    link = "Read &lt;a href='%(u)s'>this&lt;/a>", "&lt;a href='%(u)s'>Das&lt;/a> lesen"
    known = memory(tmp_path, unit("Save", "Sichern"), unit("Open", "Auf"), unit("Open", "Öffnen"), unit(*link))
    texts = ["Save", "Open", "Close", "Save\\nmore", "Read <a href='%(u)s'>this</a>"]
    content = PO.format("de", "\n".join(f'msgid "{text}"\nmsgstr ""\n' for text in texts))
    after = polib.pofile(through(tmp_path, "a.po", content, memory=known))
    assert [(entry.msgstr, entry.fuzzy) for entry in after] == [
        ("Sichern", False),
        ("Öffnen", True),
        ("¡Close", True),
        ("Sichern\n¡more", True),
        ("<a href='%(u)s'>Das</a> lesen", False),
    ]
    assert caplog.messages == [
        "filled 5 of 5 entries and marked 3 of them fuzzy",
        "taken from the memory: 4",
        "with several translations there, of which the first was taken: 1",
        "  'Open': 'Öffnen' (1), 'Auf' (1)",
    ]


def test_plural_forms_from_a_memory_are_fuzzy(tmp_path: Path) -> None:
    known = memory(tmp_path, unit("%d file", "%d Datei"), unit("%d files", "%d Dateien"))
    entry = 'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    (after,) = polib.pofile(through(tmp_path, "a.po", PO.format("de", entry), memory=known))
    assert after.msgstr_plural == {0: "%d Datei", 1: "%d Dateien"} and after.fuzzy


def test_labels_are_taken_with_their_accelerators_or_without(tmp_path: Path) -> None:
    known = memory(tmp_path, unit("_Save", "S_ichern"), unit("Open", "Öffnen"))
    content = PO.format("de", "\n".join(f'msgid "{text}"\nmsgstr ""\n' for text in ("_Save", "_Open")))
    after = polib.pofile(through(tmp_path, "a.po", content, memory=known))
    assert [(entry.msgstr, entry.fuzzy) for entry in after] == [("S_ichern", False), ("_Öffnen", True)]


def test_in_xliff_agreed_translations_are_exact_matches(tmp_path: Path) -> None:
    known = memory(tmp_path, unit("Save", "Sichern"), unit("Open", "Auf"), unit("Open", "Öffnen"))
    body = "".join(f'<trans-unit id="{text}"><source>{text}</source></trans-unit>' for text in ("Save", "Open", "Shut"))
    body += '<trans-unit id="x"><source><g id="1">Save</g></source><target/></trans-unit>'
    start = (
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en" target-language="de"><body>'
    )
    after = through(tmp_path, "a.xlf", f"{start}{body}</body></file></xliff>", memory=known)
    assert '<target state="translated" state-qualifier="exact-match">Sichern</target>' in after
    review = '<target state="needs-review-translation">'
    assert [f"{review}{text}</target>" in after for text in ("Öffnen", "¡Shut", '<g id="1">Sichern</g>')] == [True] * 3
    start = '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de"><file id="1">'
    body = '<unit id="{0}"><segment><source>{0}</source></segment></unit>'
    content = f"{start}{body.format('Save')}{body.format('Shut')}</file></xliff>"
    after = through(tmp_path, "b.xlf", content, memory=known)
    assert '<segment state="translated" subState="neuronspec:exact-match"><source>Save</source>' in after
    assert '<segment state="translated"><source>Shut</source>' in after


def test_tags_go_around_whole_words_however_the_memory_writes_them(tmp_path: Path) -> None:
    class Cleaning(Marking):
        """Aligns cleaned texts, as models do."""

        def align(self, texts: list[str], translations: list[str], direction: str) -> Any:
            cleaned = ([framed(text).text for text in each] for each in (texts, translations))
            return super().align(*cleaned, direction)

    known = memory(
        tmp_path, unit("a file", "eine  Datei"), unit("a name", "ein Na\u00adme"), unit("a key", "a\u0308  b")
    )
    names = ("file", "name", "key")
    (tmp_path / "a.html").write_text("".join(f"<p>a <b>{name}</b></p>" for name in names), encoding="utf-8")
    out = tmp_path / "out.html"
    translate_document(Cleaning(), EN_DE, str(tmp_path / "a.html"), out, Options(memory=known))  # type: ignore[arg-type]
    expected = "".join(f"<p>{one} <b>{two}</b></p>" for one, two in (("eine", "Datei"), ("ein", "Name"), ("ä", "b")))
    assert out.read_text(encoding="utf-8") == expected


def test_in_plain_text_the_summary_tells(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    known = memory(tmp_path, unit("Save", "Sichern"))
    assert through(tmp_path, "a.txt", "Save\r\n\n Save \nOpen\n", memory=known) == "Sichern\r\n\n Sichern \n¡Open\n"
    assert caplog.messages == ["taken from the memory: 2"]
    assert through(tmp_path, "b.txt", "Save\nOpen\n", memory=known, scores=True) == "0.0000\tSichern\n-1.0000\t¡Open\n"
