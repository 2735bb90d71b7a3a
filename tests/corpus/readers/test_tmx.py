"""The reader of translation memories."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.sources import XML_TEXT, read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row

HEAD = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
<header creationtool="x" srclang="en-US" segtype="sentence" datatype="plaintext"><note>Unit: tu, seg</note></header>
<body>
"""
TAIL = "</body>\n</tmx>\n"


def unit(*variants: tuple[str, str], attributes: str = "") -> str:
    return (
        "<tu>"
        + "".join(f'<tuv xml:lang="{tag}"{attributes}><seg>{text}</seg></tuv>' for tag, text in variants)
        + "</tu>\n"
    )


def tmx(*units: str, encoding: str = "UTF-8") -> bytes:
    return (HEAD.format(encoding=encoding) + "".join(units) + TAIL).encode(encoding)


def rows_of(path: Path, languages: list[str], counts: ReadCounts | None = None) -> list[Row]:
    return read_source({"reader": "tmx", "path": path}, languages, counts)


def test_units_in_any_spelling_and_number_of_languages(tmp_path: Path) -> None:
    units = (
        unit(("en-US", "Save"), ("DE", "Speichern"), ("fr", "Enregistrer"), ("it", "Salva")),
        unit(("FR-ca", "Fichier &amp; <hi>nom</hi>"), ("en", "File <bpt i='1'>&lt;b></bpt>&amp;<ept i='1'/> name")),
    )
    (tmp_path / "a.tmx").write_bytes(tmx(*units))
    (tmp_path / "b.tmx.gz").write_bytes(gzip.compress(tmx(unit(("en", "Ä"), ("de", "Ö")), encoding="utf-16")))
    (tmp_path / "c.tmx.xz").write_bytes(lzma.compress(tmx(unit(("en", "é"), ("de", "ß")), encoding="iso-8859-1")))
    counts = ReadCounts()
    assert rows_of(tmp_path, ["de", "fr"], counts) == [
        Row({"en": "Save", "de": "Speichern", "fr": "Enregistrer"}, "a.tmx:6", "train"),
        Row({"en": "File & name", "fr": "Fichier & nom"}, "a.tmx:7", "train"),
        Row({"en": "Ä", "de": "Ö"}, "b.tmx.gz:6", "train"),
        Row({"en": "é", "de": "ß"}, "c.tmx.xz:6", "train"),
    ]
    assert counts.sources == {"a.tmx": 2, "b.tmx.gz": 1, "c.tmx.xz": 1} and not counts.skipped


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.tmx").write_bytes(
        tmx(
            unit(("en", "Page <ph x='1'/>"), ("de", "Seite <ph x='1'/>")),
            unit(("en", "Open"), ("de", "Öffnen"), ("de", "Offen"), ("de-AT", "Auf")),
            unit(("en", " "), ("de", "")),
            "<tu><tuv xml:lang='en'><seg>Yes</seg></tuv><tuv lang='de'/></tu>\n",
            "<tu><tuv lang='en'><seg>No</seg></tuv><tuv lang='de'><prop>x</prop><seg>Nein</seg></tuv></tu>\n",
            unit(("en", "Quit"), ("de", "Ende"), attributes=' creationid="neuronspec"'),
            unit(("it", "Sì"), ("es", "Sí")),
            "<tu/>\n",
        )
    )
    counts = ReadCounts()
    assert [row.texts for row in rows_of(tmp_path / "a.tmx", ["de"], counts) if row.texts] == [
        {"en": "Open", "de": "Öffnen"},
        {"en": "Yes"},
        {"en": "No", "de": "Nein"},
    ]
    assert counts.sources == {"a.tmx": 8}
    assert counts.skipped == {
        "en": {"markup in the text": 1, "empty": 1, "filled by a model": 1},
        "de": {"markup in the text": 1, "another variant of the same unit": 1, "empty": 2, "filled by a model": 1},
    }


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(XML_TEXT, XML_TEXT, st.booleans()), min_size=1, max_size=20))
def test_texts_come_out_as_they_went_in(pairs: list[tuple[str, str, bool]]) -> None:
    def written(text: str, as_is: bool) -> str:
        return f"<![CDATA[{text}]]>" if as_is and "]]>" not in text else escape(text)

    body = [unit(("en", written(one, as_is)), ("de", written(other, as_is))) for one, other, as_is in pairs]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tmx"
        path.write_bytes(tmx(*body, unit(("en", "a"), ("de", "b"))))
        rows = rows_of(path, ["de"])
    given = [{code: text for code, text in (("en", one), ("de", other)) if text.strip()} for one, other, _ in pairs]
    assert [row.texts for row in rows[:-1]] == given


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tmx(unit(("en", "a"), ("de", "b")))[:-30], r"a.tmx:\d+: not XML: "),
        (tmx(unit(("en", "a & b"), ("de", "b"))), "a.tmx:6: not XML: not well-formed"),
        (
            tmx(unit(("en", "caf\xe9"), ("de", "b")), encoding="latin-1").replace(b"latin-1", b"UTF-8"),
            "a.tmx:6: not XML",
        ),
        (b"", "a.tmx:1: not XML: no element found"),
        (b"<xliff/>", "a.tmx:1: not TMX: its root is 'xliff'"),
        (tmx(unit(("en", "&nbsp;a"), ("de", "b"))), "a.tmx:6: &nbsp; isn't defined in the file"),
        (b'<!DOCTYPE tmx [<!ENTITY a "aaaa">]><tmx>&a;</tmx>', "a.tmx:1: declares the entity 'a'"),
        (b'<!DOCTYPE tmx [<!ENTITY a SYSTEM "/etc/hostname">]><tmx>&a;</tmx>', "a.tmx:1: declares the entity 'a'"),
        (b'<!DOCTYPE tmx [<!ENTITY % a SYSTEM "/etc/hostname"> %a;]><tmx/>', "a.tmx:1: declares the entity 'a'"),
        (b'<?xml version="1.0" encoding="klingon"?><tmx/>', "a.tmx:1: its encoding can't be read"),
        (b"<tmx>" + b"<a>" * 1000, "a.tmx:1: nested too deeply"),
        (tmx(unit(("en", "a"), ("it", "b"))), "no text of de; languages there: en, it"),
        (tmx(), "no text of en, de; languages there: none that is named"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.tmx").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        rows_of(tmp_path / "a.tmx", ["de"])


def test_a_cut_archive(tmp_path: Path) -> None:
    packed = gzip.compress(tmx(*(unit(("en", str(number)), ("de", str(number**3))) for number in range(999))))
    (tmp_path / "a.tmx.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CorpusError, match="a.tmx.gz: damaged"):
        rows_of(tmp_path, ["de"])


@pytest.mark.parametrize(
    ("before", "block"),
    [(b"<tu><tuv xml:lang='en'><seg>", b"a"), (b"<tu><tuv xml:lang='", b"a"), (b"<!--", b"a"), (b"<tu>", b"<tuv/>")],
)
def test_an_endless_unit_is_refused_in_bounded_memory(tmp_path: Path, before: bytes, block: bytes) -> None:
    size = 300 * 2**20
    with gzip.open(tmp_path / "a.tmx.gz", "wb", compresslevel=1) as file:
        file.write(b"<tmx>\n" + before)
        for _ in range(size // 2**20):
            file.write(block * (2**20 // len(block)))
    code = """
import re, sys
from pathlib import Path
from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.xml_units import read_units
try:
    with opened(Path(sys.argv[1])) as file:
        list(read_units("a.tmx.gz", file, "tmx", ("tu",)))
except CorpusError as error:
    print(error)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "a.tmx.gz")]
    message, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "a.tmx.gz:2: a unit, tag or comment of more than 4 MiB" in message
    assert int(kilobytes) * 1024 < size / 2
