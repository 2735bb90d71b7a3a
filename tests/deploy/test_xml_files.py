"""XLIFF and translation memories: targets are filled where the file is written, and nothing else changes."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.documents import Heard, Same, Upper

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import translate_document
from neuronspec.deploy.documents.xml_source import Document

EN_DE = Direction("en", "de")


class Marking(Same):
    """Puts a mark before the text of each line; drops the placeholders of texts that say so."""

    def one(self, text: str) -> str:
        marked = re.sub(r"(?m)^(\s*)(?=\S)", r"\1¡", text)
        return re.sub(r"%\(\w+\)s", "", marked) if "careless" in marked else marked


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged."""
    caplog.set_level(logging.INFO, logger="neuronspec")
    return caplog


def through(tmp_path: Path, name: str, content: bytes | str, translator: Any = None) -> str:
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(raw)
    out = tmp_path / f"out-{name}"
    translate_document(translator or Marking(), EN_DE, str(tmp_path / name), out)
    return out.read_bytes().decode()


XLIFF_1 = """<?xml version='1.0' encoding='UTF-8'?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file original="a" source-language="en-US" %s
 datatype="plaintext"><!-- kept --><body>
  <trans-unit id="1"><source> Save &amp; go </source></trans-unit>
  <trans-unit id="2"><source>Delete <x id="a"/> now</source><target/></trans-unit>
  <trans-unit id="3" translate="no"><source>No</source></trans-unit>
  <trans-unit id="4"><source>Old</source><target state="final">Alt</target></trans-unit>
  <trans-unit id="5"><source>careless %%(name)s</source></trans-unit>
  <trans-unit id="6"><source>Empty</source><target></target></trans-unit>
</body></file></xliff>
"""
XLIFF_2 = """<?xml version='1.0' encoding='UTF-8'?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en"><file id="f" translate="no">
  <unit id="1" translate="yes"><segment><source>One</source></segment><segment><source>Two</source></segment></unit>
  <unit id="2"><segment><source>No</source></segment></unit>
</file></xliff>
"""
TMX = """<?xml version='1.0' encoding='UTF-8'?>
<tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>Save</seg></tuv></tu>
<tu><tuv xml:lang="EN-gb"><seg>Old</seg></tuv><tuv xml:lang="de"><seg>Alt</seg></tuv></tu>
<tu><tuv xml:lang="fr"><seg>Bon</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>With <bpt i="1">b</bpt></seg></tuv></tu>
</body></tmx>
"""


def test_xliff_12(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = XLIFF_1 % 'target-language="de"'
    target = '<target state="needs-review-translation">'
    expected = (
        content.replace("&amp; go </source>", f"&amp; go </source>{target} ¡Save &amp; go </target>")
        .replace("Empty</source><target></target>", f"Empty</source>{target}¡Empty</target>")
        .replace("now</source><target/>", f'now</source>{target}¡Delete <x id="a"/> now</target>')
    )
    found = through(tmp_path, "a.xliff", content)
    assert found == expected
    assert told.messages[:2] == ["filled 3 of 4 units", "left 1 untranslated:"]
    assert any("a.xliff:8: the translation is without %(name)s" in line for line in told.messages)
    with pytest.raises(CorpusError, match="xlf:2: the file is from en-US to fr, not en-de"):
        through(tmp_path, "a.xlf", XLIFF_1 % 'target-language="fr"')


def test_xliff_20(tmp_path: Path) -> None:
    expected = XLIFF_2.replace('srcLang="en"', 'srcLang="en" trgLang="de"')
    for word in ("One", "Two"):
        expected = expected.replace(
            f"<segment><source>{word}</source>",
            f'<segment state="translated"><source>{word}</source><target>¡{word}</target>',
        )
    assert through(tmp_path, "a.xlf", XLIFF_2) == expected


@pytest.mark.parametrize(
    "start",
    [
        '<?xml version="1.0" encoding="utf-8"?>\n',
        "<?xml version='1.0'   encoding='UTF-8' standalone='no' ?>",
        '\ufeff<?xml version="1.0" standalone="yes"?>\n\n',
        "\ufeff",
        "",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_what_xml_begins_and_ends_with_stays(tmp_path: Path, start: str, line_end: str) -> None:
    plain = XLIFF_2.split("\n", 1)[1].rstrip().replace("<unit", "<!-- ü --><unit")
    filled = through(tmp_path, "a.xlf", plain)
    assert filled.count("<target>") == 2
    for end in ("\n", "", "\n\n"):
        content, expected = ((start + text + end).replace("\n", line_end) for text in (plain, filled))
        assert through(tmp_path, "b.xlf", content) == expected


def test_xml_in_other_encodings(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    plain = XLIFF_2.split("\n", 1)[1].replace("One", "Ünö")
    for encoding, declared in (("latin-1", "ISO-8859-1"), ("utf-16", "UTF-16")):
        start = f'<?xml version="1.0" encoding="{declared}"?>\n'
        (tmp_path / "a.xlf").write_bytes((start + plain).encode(encoding))
        translate_document(Marking(), EN_DE, str(tmp_path / "a.xlf"), tmp_path / "out.xlf")  # type: ignore[arg-type]
        raw = (tmp_path / "out.xlf").read_bytes()
        assert "¡Ünö" in "".join(ElementTree.fromstring(raw).itertext())
        assert encoding == "utf-16" or raw.startswith(start.encode())


def test_tmx(tmp_path: Path) -> None:
    added = '<tuv xml:lang="de" creationid="neuronspec"><seg>¡Save</seg></tuv>'
    marked = added.replace("¡Save", '¡With <bpt i="1">b</bpt>')
    expected = TMX.replace("Save</seg></tuv>", f"Save</seg></tuv>{added}")
    expected = expected.replace("</bpt></seg></tuv>", f"</bpt></seg></tuv>{marked}")
    assert through(tmp_path, "a.tmx", TMX) == expected


def test_xml_that_is_something_else_is_told(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.xlf", "<xliff", r"a.xlf:1: not XML"),
        ("a.xlf", "<tmx/>", r"not XLIFF 1.2, 2.0 or 2.1, which are supported: its root is tmx"),
        ("a.tmx", "<html/>", r"not TMX: its root is 'html'"),
    ):
        with pytest.raises(CorpusError, match=message):
            through(tmp_path, name, content)


def test_entities_are_not_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    content = f'<!DOCTYPE tmx [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>\n' + TMX.split("\n", 1)[1].replace(
        "Save", "&e;"
    )
    assert "SECRET" not in through(tmp_path, "a.tmx", content)


OLD = """<?xml version='1.0' encoding='UTF-8' standalone="no"?>
<!DOCTYPE xliff [<!ENTITY brand "Ac&#233;me"> <!ELEMENT note ANY>]>
<?tool keep="this"?>
<x:xliff xmlns:x='urn:oasis:names:tc:xliff:document:1.2'
         version = "1.2" >
  <x:file original='a&apos;b' datatype="plaintext"
          source-language="en-US">
    <x:header><x:note/><x:note></x:note><x:note ><![CDATA[<raw & kept>]]></x:note></x:header>
    <x:body>
      <x:trans-unit id='1' note="&quot;'>"><x:source><![CDATA[Save & go]]></x:source></x:trans-unit>
      <x:trans-unit id="2">
        <x:source>About &brand;</x:source>
        <x:target state='new'/>
      </x:trans-unit>
      <x:trans-unit id="3">
        <x:source>Two
          lines &#38; more</x:source>
      </x:trans-unit>
      <x:trans-unit id="4" xml:space="preserve">
        <x:source>Two
  lines</x:source>
        <x:target   state = "new"  ></x:target>
      </x:trans-unit>
      <x:trans-unit id="5"><x:source>Old</x:source><x:target><![CDATA[A & B]]></x:target></x:trans-unit>
    </x:body>
  </x:file>
</x:xliff>
<!-- the end -->"""


def test_what_is_written_stays(tmp_path: Path) -> None:
    state = 'state="needs-review-translation"'
    expected = (
        OLD.replace('"en-US">', '"en-US" target-language="de">')
        .replace("go]]></x:source>", f"go]]></x:source><x:target {state}>¡Save &amp; go</x:target>")
        .replace("<x:target state='new'/>", f"<x:target {state}>¡About Acéme</x:target>")
        .replace(
            "&#38; more</x:source>",
            f"&#38; more</x:source>\n        <x:target {state}>¡Two lines &amp; more</x:target>",
        )
        .replace('state = "new"  ></x:target>', 'state = "needs-review-translation"  >¡Two\n  ¡lines</x:target>')
    )
    assert through(tmp_path, "a.xlf", OLD) == expected
    assert through(tmp_path, "b.xlf", OLD.replace("\n", "\r\n")) == expected.replace("\n", "\r\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "koi8-r", "shift_jis", "utf-16", "utf-16-le"])
def test_an_encoding_stays_and_what_it_lacks_becomes_a_reference(tmp_path: Path, encoding: str) -> None:
    content = OLD.replace("encoding='UTF-8'", f"encoding='{encoding}'").replace("brand", "brand_")
    (tmp_path / "a.xlf").write_bytes(content.encode(encoding))
    translate_document(Marking(), EN_DE, str(tmp_path / "a.xlf"), tmp_path / "out.xlf")  # type: ignore[arg-type]
    found = (tmp_path / "out.xlf").read_bytes().decode(encoding)
    plain = through(tmp_path, "b.xlf", content.replace(f"'{encoding}'", "'UTF-8'"))
    assert re.sub(r"&#(161|233);", lambda code: chr(int(code[1])), found) == plain.replace(
        "'UTF-8'", f"'{encoding}'"
    ).replace("&#233;", "é")


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "rot13", "hex", "unicode_escape", "no-such"])
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(CorpusError, match=f"a.xlf:1: the encoding '{encoding}' isn't supported"):
        through(tmp_path, "a.xlf", OLD.replace("encoding='UTF-8'", f"encoding='{encoding}'"))


SEGMENTED = """<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en"><body><trans-unit id="1">
  <source>One. Two.</source>
  <seg-source><mrk mtype="seg" mid="1">One.</mrk> <mrk mid="2" mtype="seg">Two.</mrk></seg-source>%s
</trans-unit></body></file></xliff>"""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("", '\n  <target %s><mrk mtype="seg" mid="1">¡One.</mrk> <mrk mid="2" mtype="seg">¡Two.</mrk></target>'),
        ("<target/>", '<target %s><mrk mtype="seg" mid="1">¡One.</mrk> <mrk mid="2" mtype="seg">¡Two.</mrk></target>'),
        (
            '<target><mrk mtype="seg" mid="1">HUMAN</mrk> <mrk mtype="seg" mid="2"/></target>',
            '<target %s><mrk mtype="seg" mid="1">HUMAN</mrk> <mrk mtype="seg" mid="2">¡Two.</mrk></target>',
        ),
        ("<target>HUMAN</target>", "<target>HUMAN</target>"),
    ],
)
def test_segments_are_filled_one_by_one(tmp_path: Path, target: str, expected: str) -> None:
    state = 'state="needs-review-translation"'
    named = SEGMENTED.replace('"en">', '"en" target-language="de">') if "%s" in expected else SEGMENTED
    assert through(tmp_path, "a.xlf", SEGMENTED % target) == named % expected.replace("%s", state)


def test_xliff_21_and_what_is_not_text(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = """<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.1" srcLang="en" trgLang="de">
<file id="f"><notes><note>One</note></notes><unit id="u"><segment id="s" state="initial">
 <source>One</source></segment><ignorable><source> </source></ignorable><segment><source>%d <ph id="1"/></source>
</segment></unit><group translate="no"><unit id="v"><segment><source>No</source></segment></unit></group></file>
</xliff>"""
    expected = content.replace('state="initial"', 'state="translated"').replace(
        "<source>One</source></segment>", "<source>One</source>\n <target>¡One</target></segment>"
    )
    expected = expected.replace("<segment><source>%d", '<segment state="translated"><source>%d').replace(
        '<ph id="1"/></source>', '<ph id="1"/></source><target>¡%d <ph id="1"/></target>'
    )
    assert through(tmp_path, "a.xlf", content) == expected
    assert told.messages == ["filled 2 of 2 units"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            OLD.replace(":1.2'", ":1.1'"),
            "its root is xliff 1.2 of the namespace 'urn:.*:1.1'",
        ),
        ('<xliff version="1.0"/>', "its root is xliff 1.0 of the namespace 'none'"),
        (OLD.replace("About &brand;", "About &other;"), r"a.xlf:\d+: not XML: undefined entity"),
        ("<a>" * 100_000, "not XML: no element found"),
        ("", "not XML: no element found"),
    ],
)
def test_other_xml_is_told_and_nothing_is_written(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        through(tmp_path, "a.xlf", content)
    assert [path.name for path in tmp_path.iterdir()] == ["a.xlf"]


def test_entities_are_bounded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 20))
    content = f'<!DOCTYPE tmx [<!ENTITY e0 "{"x" * 1000}">{bomb}]>' + TMX.split("\n", 1)[1].replace("Save", "&e19;")
    with pytest.raises(CorpusError, match="not XML: limit on input amplification"):
        through(tmp_path, "a.tmx", content)


def test_a_memory_is_written_as_it_is_indented(tmp_path: Path) -> None:
    content = """<tmx version="1.4"><body>
  <tu>
    <tuv xml:lang='en-US'>
      <seg>Save</seg>
    </tuv>
  </tu>
</body></tmx>"""
    added = """
    <tuv xml:lang="de" creationid="neuronspec">
      <seg>¡Save</seg>
    </tuv>"""
    assert through(tmp_path, "a.tmx", content) == content.replace("</tuv>", f"</tuv>{added}")


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=8
)
SPACES = st.sampled_from(["", " ", "\n", "\t", "  \n "])


@st.composite
def markup(draw: st.DrawFn) -> str:
    """Text as it may be written: escaped, in CDATA, or with references."""
    text = draw(TEXTS)
    how = draw(st.integers(0, 2))
    if how == 1 and "]]>" not in text:
        return f"<![CDATA[{text}]]>"
    if how == 2:
        return "".join(f"&#x{ord(character):x};" for character in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@st.composite
def xliff(draw: st.DrawFn) -> str:
    """XLIFF 1.2 in all kinds of spelling."""
    units = []
    for number in range(draw(st.integers(0, 4))):
        quote, space = draw(st.sampled_from("\"'")), draw(SPACES)
        target = draw(st.sampled_from(["", "<target/>", "<target></target>", "<target >HUMAN</target >"]))
        note = draw(st.sampled_from(["", "<note/>", "<!-- > -->", "<?pi > ?>", "<note>a > b</note>"]))
        units.append(
            f"<trans-unit id={quote}{number}{quote}{space}>{space}<source>{draw(markup())}{draw(markup())}</source>"
            f"{space}{target}{note}</trans-unit>{space}"
        )
    start = draw(st.sampled_from(["", '<?xml version="1.0"?>', "<?xml version='1.0' encoding='utf-8'?>\n", "\ufeff"]))
    space, end = draw(SPACES), draw(st.sampled_from(["", "\n", "<!-- end -->"]))
    return (
        f"{start}<xliff xmlns='urn:oasis:names:tc:xliff:document:1.2'><file{space or ' '}source-language='en'{space}>"
        f"<body>{''.join(units)}</body></file></xliff>{end}"
    )


class Same(Marking):
    """Gives back what it gets."""

    def __call__(self, texts: list[str], direction: str) -> list[str]:
        return list(texts)


@given(xliff())
def test_nothing_but_targets_changes(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    found = through(tmp_path_factory.mktemp("same"), "a.xlf", content, Same())
    before, after = Document("a", content.encode()).root, Document("a", found.encode()).root
    texts = [unit.child("source").text for unit in before.iter("trans-unit")]  # type: ignore[union-attr]
    assert [unit.child("source").text for unit in after.iter("trans-unit")] == texts  # type: ignore[union-attr]
    for unit, text in zip(after.iter("trans-unit"), texts, strict=True):
        target = unit.child("target")
        if target is not None and target.text not in ("", "HUMAN"):
            assert target.text.split() == text.split()
        assert target is not None or not text.strip()

    def bare(text: str) -> str:
        """Without what may have been filled, and the white space that new elements are indented with."""
        text = re.sub(r'<target state="needs-review-translation">[^<]*</target>|<target/>|<target></target>', "", text)
        return re.sub(r"\s+", "", text.replace(' target-language="de"', ""))

    assert bare(found) == bare(content)


@pytest.mark.parametrize(
    "tag",
    [
        '<x id="LINE_BREAK" ctype="lb"/>', '<ph type="lb">[br]</ph>', '<ph id="1" type="fmt" subType="xlf:lb"/>',
        '<ph id="1">&lt;br/></ph>', '<x id="1" equiv-text="&lt;img src=x>"/>',
    ],
)  # fmt: skip
def test_words_around_breaks_stay_apart(tmp_path: Path, tag: str) -> None:
    engine = Heard()
    for around in ("{}", "<g>{}</g>", "a {}"):
        content = XLIFF_1.replace('Delete <x id="a"/> now', around.format(f"First line{tag}Second line"))
        expected = around.format(f"FIRST LINE{tag}SECOND LINE").replace("a ", "A ")
        assert f"{expected}</target>" in through(tmp_path, "a.xlf", content % "", engine)
    assert {"line", "Second"} <= engine.words and "lineSecond" not in engine.words


@pytest.mark.parametrize("target", ["", "<target/>"])
def test_a_target_comes_after_a_source_whose_segments_are_not_marked(tmp_path: Path, target: str) -> None:
    content = SEGMENTED.replace(' mtype="seg"', "").replace("One.</mrk> <mrk", "One.</mrk> <mrk") % target
    found = through(tmp_path, "a.xlf", content)
    assert re.findall(r"<(source|seg-source|target)\b", found) == ["source", "seg-source", "target"]
    assert ">¡One. Two.</target>" in found


@pytest.mark.parametrize(
    "kept",
    [
        '<mrk mtype="protected">Foo <x id="1"/> Bar</mrk>',
        '<mrk id="1" translate="no">Foo</mrk>',
        '<mrk mtype="x-its-translate-no">Foo</mrk>',
    ],
)
def test_protected_text_stays(tmp_path: Path, kept: str) -> None:
    for source, expected in (
        (f"click {kept} now", f"CLICK {kept} NOW"),
        (kept, kept),
        (f"<g>a {kept}</g>", f"<g>A {kept}</g>"),
    ):
        content = XLIFF_1.replace('Delete <x id="a"/> now', source) % ""
        assert f"{expected}</target>" in through(tmp_path, "a.xlf", content, Upper())


def test_protected_text_between_two_tags_is_left(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    source = 'Click <sm id="1" translate="no"/>Foo<em startRef="1"/>'
    content = XLIFF_2.replace("<source>One<", f"<source>{source}<")
    assert (
        through(tmp_path, "a.xlf", content).count("<target>")
        == through(tmp_path, "b.xlf", XLIFF_2).count("<target>") - 1
    )
    assert any("it has text that isn't to be translated after <sm>" in message for message in told.messages)


def test_carriage_returns_that_are_references_stay_so(tmp_path: Path) -> None:
    before = (
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en" target-language="de"><body>'
    )
    unit = '<trans-unit id="1" xml:space="preserve"><source>one&#13;\r\ntwo&#13;</source>{}</trans-unit>'
    after = "</body></file></xliff>"
    found = through(tmp_path, "a.xlf", before + unit.format("") + after)
    target = '<target state="needs-review-translation">¡one&#13;\r\n¡two&#13;</target>'
    assert found == before + unit.format(target) + after


def test_breaks_that_are_in_the_original_data_part_words(tmp_path: Path) -> None:
    before = '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de"><file><unit><originalData>'
    data = '<data id="1">&lt;br/></data><data id="2">&lt;x></data></originalData><segment>'
    source = '<source>one<ph id="1" dataRef="1"/>two<ph id="2" dataRef="2"/>three</source>'
    heard = Heard()
    through(tmp_path, "a.xlf", f"{before}{data}{source}</segment></unit></file></xliff>", heard)
    assert heard.words == {"one", "twothree"}


def test_an_attribute_in_another_one_is_none(tmp_path: Path) -> None:
    content = '<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file><body><trans-unit id="1"><source>a</source>{}'
    found = through(
        tmp_path, "a.xlf", content.format("<target x=\"a state='new'\"/></trans-unit></body></file></xliff>")
    )
    assert """<target x="a state='new'" state="needs-review-translation">¡a</target>""" in found


def test_a_finer_state_of_what_was_there_before_goes(tmp_path: Path) -> None:
    content = (
        '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="de"><file id="f">'
        '<unit id="u"><segment{}><source>a</source>{}</segment></unit></file></xliff>'
    )
    before = content.format(" state='initial' subState = 'x:new' id='1'", "")
    after = content.format(""" state="translated" id='1'""", "<target>¡a</target>")
    assert through(tmp_path, "a.xlf", before) == after
