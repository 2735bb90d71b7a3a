"""The reader of localisation files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.sources import XML_TEXT, read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row
from neuronspec.deploy.documents.xml_files import FILLED_1, FILLED_2

ONE = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="a" source-language="en-US" target-language="de" datatype="plaintext"><body><group>
{}
</group></body></file>
</xliff>
"""
TWO = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de">
<file id="f">
{}
</file>
</xliff>
"""


def rows_of(path: Path, content: str, counts: ReadCounts | None = None) -> list[Row]:
    path.write_text(content, encoding="utf-8")
    return read_source({"reader": "xliff", "path": path}, ["de"], counts)


def test_translated_units_of_1_2(tmp_path: Path) -> None:
    units = """<trans-unit id="1"><source>Save</source><target>Speichern</target></trans-unit>
<trans-unit id="2"><source>Open</source><target state="translated">Öffnen</target>
<alt-trans><source>Opened</source><target>Offen</target></alt-trans></trans-unit>
<trans-unit id="3"><source>Quit</source><target state="needs-review-translation">Ende</target></trans-unit>
<trans-unit id="4"><source>Help</source></trans-unit>
<trans-unit id="5"><source>Page <x id="1"/></source><target>Seite <x id="1"/></target></trans-unit>
<trans-unit id="6" approved="no"><source>Yes</source><target>Ja</target></trans-unit>
<trans-unit id="7" translate="no"><source>URL</source><target>URL</target></trans-unit>
<trans-unit id="8"><source>No</source><target/></trans-unit>
<trans-unit id="9"><source xml:lang="fr">Oui</source><target state="final">Ja</target></trans-unit>"""
    counts = ReadCounts()
    assert [row for row in rows_of(tmp_path / "a.xlf", ONE.format(units), counts) if row.texts] == [
        Row({"en": "Save", "de": "Speichern"}, "a.xlf:4", "train"),
        Row({"en": "Open", "de": "Öffnen"}, "a.xlf:5", "train"),
        Row({"de": "Ja"}, "a.xlf:13", "train"),
    ]
    assert counts.sources == {"a.xlf": 9}
    assert counts.skipped == {
        "de": {"not finished": 2, "untranslated": 2, "markup in the text": 1, "not for translation": 1}
    }


def test_translated_segments_of_2_0(tmp_path: Path) -> None:
    states = ["", ' state="initial"', ' state="translated"', ' state="reviewed"', ' state="final"']
    units = [
        f'<unit id="{number}"><segment{state}><source>a{number}</source><target>b{number}</target></segment>'
        f"<segment><source>c{number}</source></segment><ignorable><source> </source></ignorable></unit>"
        for number, state in enumerate(states)
    ]
    units.append('<unit id="x" translate="no"><segment><source>a</source><target>b</target></segment></unit>')
    counts = ReadCounts()
    rows = rows_of(tmp_path / "a.xliff", TWO.format("\n".join(units)), counts)
    assert [row.texts for row in rows if row.texts] == [{"en": f"a{n}", "de": f"b{n}"} for n in (0, 3, 4)]
    assert counts.sources == {"a.xliff": 11}
    assert counts.skipped == {
        "de": {"not finished": 1, "translated but not reviewed": 1, "untranslated": 5, "not for translation": 1}
    }


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ('<target state="translated" state-qualifier="mt-suggestion">b</target>', "machine translation"),
        ('<target state-qualifier="leveraged-mt">b</target>', "machine translation"),
        ('<target state="signed-off" state-qualifier="leveraged-mt">b</target>', ""),
        ('<target state="translated" state-qualifier="exact-match">b</target>', ""),
    ],
)
def test_machine_translations_arent_read(tmp_path: Path, target: str, reason: str) -> None:
    counts = ReadCounts()
    whole = ONE.format(f"<trans-unit><source>a</source>{target}</trans-unit>")
    (row,) = rows_of(tmp_path / "a.xlf", whole, counts)
    assert bool(row.texts) == (not reason)
    assert counts.skipped == ({"de": {reason: 1}} if reason else {})


def test_what_translate_fills_isnt_read(tmp_path: Path) -> None:
    """Else a corpus of exported files would take in the translations of its own models."""
    for attributes, form in ((FILLED_1, ONE), (FILLED_2, TWO)):
        state = f'state="{attributes["state"]}"'
        unit = (
            f"<trans-unit><source>a</source><target {state}>b</target></trans-unit>"
            if form is ONE
            else f"<unit><segment {state}><source>a</source><target>b</target></segment></unit>"
        )
        assert not any(row.texts for row in rows_of(tmp_path / "a.xlf", form.format(unit)))


def test_names_with_a_prefix(tmp_path: Path) -> None:
    units = "<trans-unit id='1'><source>Save</source><target>Speichern</target></trans-unit>"
    prefixed = ONE.format(units).replace("<", "<x:").replace("<x:/", "</x:").replace("<x:?", "<?")
    (row,) = rows_of(tmp_path / "a.xlf", prefixed.replace("xmlns=", "xmlns:x="))
    assert row.texts == {"en": "Save", "de": "Speichern"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(XML_TEXT, XML_TEXT), min_size=1, max_size=10), st.booleans())
def test_texts_come_out_as_they_went_in(pairs: list[tuple[str, str]], is_old: bool) -> None:
    whole, kind = (ONE, "trans-unit") if is_old else (TWO, "segment")
    units = "".join(
        f"<{kind}><source>{escape(source)}</source><target>{escape(target)}</target></{kind}>"
        for source, target in pairs
    )
    with TemporaryDirectory() as folder:
        rows = rows_of(Path(folder) / "a.xlf", whole.format(units))
    given = [{"en": source, "de": target} if target else {} for source, target in pairs]
    assert [row.texts for row in rows] == [{code: text for code, text in one.items() if text} for one in given]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ONE.format("<trans-unit>"), "a.xlf:5: not XML: mismatched tag"),
        ("<tmx/>", "a.xlf:1: not XLIFF: its root is 'tmx'"),
        (ONE.format("").replace("<file", "<!-- -->\n<file"), "no text of en, de"),
        (
            ONE.format("<trans-unit><source>a</source><target>b</target></trans-unit>").replace('"de"', '"it"'),
            "no text of de; languages there: en-US, it",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        rows_of(tmp_path / "a.xlf", content)
