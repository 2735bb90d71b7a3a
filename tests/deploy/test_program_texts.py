"""Texts of programs: JSON, Android's and .NET's resources, `.strings`, `.properties`."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from tests.helpers.documents import EN_DE, Fixed, Heard, Upper, through

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import translate_document


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged."""
    caplog.set_level(logging.INFO, logger="neuronspec")
    return caplog


JSON = r"""{
	"@@locale": "en",  "title":"hello \"you\"",
	"@title": {"description": "stay", "placeholders": {"a": {"example": "stay"}}},
	"nested": {"list": ["one", "click <b>here</b> now", 3, null, true], "url": "https://x.org/a", "mail": "a@b.org"},
	"plural_one": "{{count}} file", "icu": "careless {name}",
	"twice": "a", "twice": "b", "empty": "", "number": "1.5"
}
"""


def test_json(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    expected = (
        JSON.replace(r"hello \"you\"", r"HELLO \"YOU\"")
        .replace('"one"', '"ONE"')
        .replace("click <b>here</b> now", "CLICK <b>HERE</b> NOW")
        .replace("}} file", "}} FILE")
    )
    assert through(tmp_path, "en.json", JSON) == expected
    assert [message.rsplit("/")[-1] for message in told.messages] == [
        "translated 4 of 7 texts",
        "left 3 untranslated:",
        "en.json:5: the translation is without {name}",
        "en.json:6: the key 'twice' is in its object more than once",
        "en.json:6: the key 'twice' is in its object more than once",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('["a"]', '["A"]'),
        ('{"a": "caf\\u00e9", "b": "x"}', '{"a": "CAF\\u00c9", "b": "X"}'),
        ('{"a": "tab\\u0009é"}', '{"a": "TAB\\tÉ"}'),
        ('{"a":"1\\/2 x"}', '{"a":"1\\/2 X"}'),
        ('{"a": {"message": "x", "description": "y"}}', '{"a": {"message": "X", "description": "y"}}'),
        ('{"a": {"message": "x"}, "b": "z"}', '{"a": {"message": "X"}, "b": "Z"}'),
        ("{}", "{}"),
        ("\ufeff[ ]\r\n", "\ufeff[ ]\r\n"),
        ('{"a": "x\\ny\\n\\nz"}', '{"a": "X\\nY\\n\\nZ"}'),
        ('{"a": 1' + "0" * 5000 + ', "b": "x"}', '{"a": 1' + "0" * 5000 + ', "b": "X"}'),
    ],
)  # fmt: skip
def test_how_json_is_written_stays(tmp_path: Path, content: str, expected: str) -> None:
    assert through(tmp_path, "a.json", content) == expected


def test_half_of_a_surrogate_pair_stays(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = '{"a": "x \\ud83d y", "b": "x \\ud83d\\ude00 y"}'
    assert through(tmp_path, "a.json", content) == content.replace("x \\ud83d\\ude00 y", "X \\ud83d\\ude00 Y")
    assert told.messages[-1].endswith("a.json:1: it has half of a surrogate pair, which is no character")


ANDROID = r"""<?xml version="1.0" encoding="utf-8"?>
<resources xmlns:xliff="urn:oasis:names:tc:xliff:document:1.2">
    <!-- stay -->
    <string name="a">don\'t <b>do</b> that\n\u0020<i>now</i></string>
    <string name="b" translatable="false">stay</string>
    <string name='c' >hello <xliff:g id="n" example="stay">%1$s</xliff:g>, bye &amp; so </string >
    <string name="d"><![CDATA[<b>bold</b> isn\'t]]></string>
    <string name="e">"  quoted isn't "</string>
    <string name="f">@string/a</string>
    <string name="g">&lt;b>html&lt;/b> text</string>
    <plurals name="p"><item quantity="one">%d file</item><item quantity="other">careless %d</item></plurals>
    <string-array name="s"><item>one
       two</item><item/></string-array>
    <string name="h">a <!-- comment --> b</string>
    <string name="i"><b>a\nb</b></string>
</resources>
"""


def test_android(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    expected = ANDROID
    for before, after in (
        (r"don\'t <b>do</b> that\n\u0020<i>now<", r"DON\'T <b>DO</b> THAT\n\u0020<i>NOW<"), ("hello <", "HELLO <"),
        ("quoted isn't", "QUOTED ISN'T"), ("%d file", "%d FILE"),
        ("bye &amp; so", "BYE &amp; SO"), (r"<b>bold</b> isn\'t", r"<b>BOLD</b> ISN\'T"),
        ("&lt;b>html&lt;/b> text", "&lt;b&gt;HTML&lt;/b&gt; TEXT"), ("one\n       two", "ONE TWO"),
    ):  # fmt: skip
        assert before in expected
        expected = expected.replace(before, after)
    assert through(tmp_path, "strings.xml", ANDROID) == expected
    assert [message.rsplit("/")[-1] for message in told.messages] == [
        "translated 8 of 11 texts",
        "left 3 untranslated:",
        "strings.xml:11: the translation is without %d",
        "strings.xml:14: it has a comment inside, or an instruction to a program",
        "strings.xml:15: it has markup over several lines",
    ]
    assert through(tmp_path, "arrays.xml", ANDROID.replace("\n", "\r\n")) == expected.replace("\n", "\r\n")


def test_android_escapes_what_means_something_there(tmp_path: Path) -> None:
    engine = Fixed({"one": '@ it\'s "so" \\ a\tb', "two": "?", "three": "@ d'accord"})
    content = '<resources><string>one</string><string>"three"</string><string><b>two</b></string></resources>'
    assert through(tmp_path, "strings.xml", content, engine) == (
        r"<resources><string>\@ it\'s \"so\" \\ a\tb</string>"
        r"""<string>"@ d'accord"</string><string><b>?</b></string></resources>"""
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("First line<br/>Second line", "FIRST LINE<br/>SECOND LINE"),
        ("Intro<ul><li>one item</li><li>two</li></ul>", "INTRO<ul><li>ONE ITEM</li><li>TWO</li></ul>"),
        ("a <b>first<br/>second</b> b", "A <b>FIRST<br/>SECOND</b> B"),
        (r"é <i>one</i>\ntwo<br/><b>@ x</b> three", r"É <i>ONE</i>\nTWO<br/><b>@ X</b> THREE"),
        ("<p>one <xliff:g>n<br/></xliff:g> two</p>", "<p>ONE <xliff:g>n<br/></xliff:g> TWO</p>"),
        ('"go <img/>home"', '"GO <img/>HOME"'),
        ("name<img/>address", "NAME<img/>ADDRESS"),
    ],
)
def test_words_around_breaks_of_android_stay_apart(tmp_path: Path, content: str, expected: str) -> None:
    page = "<resources xmlns:xliff='urn:oasis:names:tc:xliff:document:1.2'><string name='a'>{}</string></resources>"
    engine = Heard()
    assert through(tmp_path, "strings.xml", page.format(content), engine) == page.format(expected)
    assert not {"lineSecond", "Introone", "itemtwo", "firstsecond", "nameaddress"} & engine.words


STRINGS = r"""/* stay "a" = "b"; */
"key" = "hello \"you\"\n there";
// stay
plain.key = "value" ;
"é\n" /* stay */ = /* stay */ "it\'s \U00e9 %@";
"lone";
"number" = 12;
"twice" = "a"; "twice" = "b";
"""


def test_strings(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    expected = STRINGS
    for before, after in (
        (r"hello \"you\"\n there", r"HELLO \"YOU\"\n THERE"), ("value", "VALUE"), (r"it\'s \U00e9 %@", "IT'S É %@"),
    ):  # fmt: skip
        expected = expected.replace(before, after)
    assert through(tmp_path, "a.strings", STRINGS) == expected
    assert told.messages[0] == "translated 3 of 5 texts"
    assert told.messages[2].endswith("a.strings:8: the key 'twice' is in the file more than once")
    for encoding in ("utf-16", "utf-16-be"):
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        (tmp_path / "b.strings").write_bytes((mark + STRINGS).encode(encoding))
        translate_document(Upper(), EN_DE, str(tmp_path / "b.strings"), tmp_path / "out")  # type: ignore[arg-type]
        assert (tmp_path / "out").read_bytes() == (mark + expected).encode(encoding)


PROPERTIES = r"""# stay = stay
! stay
key = hello \
   world caf\u00e9
a\ b:it''s {0}
it=it''s so
url   x y\t 
\u0074wice=a
twice=b
empty=
lone
# last \
l=x"""


def test_properties(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    expected = PROPERTIES
    for before, after in (
        ("hello \\\n   world caf\\u00e9", "HELLO WORLD CAF\\u00C9"), ("it''s {0}", "IT''S {0}"), ("l=x", "l=X"),
        ("it''s so", "IT''S SO"), ("x y\\t ", "X Y\\t "),
    ):  # fmt: skip
        expected = expected.replace(before, after)
    assert through(tmp_path, "a.properties", PROPERTIES) == expected
    assert told.messages[0] == "translated 5 of 7 texts"
    assert told.messages[2].endswith("a.properties:8: the key 'twice' is in the file more than once")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a=schön\n".encode("latin-1"), "a=Łódź's ü".encode("latin-1", "namereplace")),
        ("a=schön\n".encode(), "a=Łódź's ü\n".encode()),
        (b"a=sch\\u00f6n\n", b"a=\\u0141\\u00F3d\\u017A's \\u00FC\n"),
    ],
)
def test_encodings_of_properties(tmp_path: Path, content: bytes, expected: bytes) -> None:
    if b"\\N" in expected:
        expected = b"a=\\u0141\xf3d\\u017A's \xfc\n"
    (tmp_path / "a.properties").write_bytes(content)
    engine = Fixed({"schön": "Łódź's ü"})
    translate_document(engine, EN_DE, str(tmp_path / "a.properties"), tmp_path / "out")  # type: ignore[arg-type]
    assert (tmp_path / "out").read_bytes() == expected


def test_patterns_that_quote_with_apostrophes_are_left(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = "a=It''s '{0}' and {1}\nb=it''s {0}\nc='" + "''{0}'\nd='it''s'\n"
    expected = content.replace("it''s {0}", "IT''S {0}").replace("'it''s'", "'IT''S'")
    assert through(tmp_path, "a.properties", content) == expected
    assert [message.rsplit("/")[-1][:39] for message in told.messages[2:]] == [
        f"a.properties:{line}: it has apostrophes that" for line in (1, 3)
    ]


def test_apostrophes_are_doubled_in_patterns_alone(tmp_path: Path) -> None:
    engine = Fixed({"one {0}": "l'un {0}", "don't {0}": "n'est {0}", "two": "l'autre", "😀 x": " 😀\\"})
    content = "a=one {0}\nb=don''t {0}\nc=two\nd=don't {0}\ne=\\ud83d\\ude00 x\n"
    assert through(tmp_path, "a.properties", content, engine) == (
        "a=l''un {0}\nb=n''est {0}\nc=l'autre\nd=n'est {0}\ne=\\ \\uD83D\\uDE00\\\\\n"
    )


RESX = """<?xml version="1.0" encoding="utf-8"?>
<root><!-- stay -->
  <xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema"><xsd:element name="data"/></xsd:schema>
  <resheader name="version"><value>stay</value></resheader>
  <data name="A" xml:space="preserve"><value> hello &amp; you
there </value><comment>stay</comment></data>
  <data name="B" type="System.Drawing.Size, System.Drawing"><value>stay</value></data>
  <data name="C" mimetype="application/x-stay"><value>stay</value></data>
  <data name=">>b.Name"><value>stay</value></data>
  <data name="D"><value><![CDATA[one & two]]></value></data>
  <data name="E"><value>&lt;b&gt;bold&lt;/b&gt; {0}</value></data><data name="F"><value/></data>
</root>
"""


def test_resx(tmp_path: Path) -> None:
    expected = RESX
    for before, after in (
        ("hello &amp; you\nthere", "HELLO &amp; YOU\nTHERE"), ("one & two", "ONE & TWO"),
        ("&gt;bold&lt;", "&gt;BOLD&lt;"),
    ):  # fmt: skip
        expected = expected.replace(before, after)
    assert through(tmp_path, "a.resx", RESX) == expected
    assert through(tmp_path, "b.resx", "\ufeff" + RESX.replace("\n", "\r\n")) == "\ufeff" + expected.replace(
        "\n", "\r\n"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{\n"a": "b",\n}', r"a.json:3: not JSON: .*column 1"),
        ("a.json", '// c\n{"a": "b"}', r"a.json:1: not JSON: Expecting value, column 1"),
        ("a.json", '"text"', r"a.json:1: texts are in an object or a list, and this is neither"),
        ("a.json", "", r"a.json:1: not JSON"),
        ("a.json", "[" * 100_000, r"a.json:1: nested too deeply"),
        ("a.json", b'{"a":\n"\xff"}', r"a.json:2: not valid UTF-8 \(byte 0xff at column 2\)"),
        ("strings.xml", "<resources>\n<string>a</resources>", r"strings.xml:2: not XML: mismatched tag"),
        ("strings.xml", "<root/>", r"strings.xml:1: not resources of Android: the root is <root>"),
        ("strings.xml", "", r"strings.xml:1: not XML: no element found"),
        ("a.resx", "<resources/>", r"a.resx:1: not resources of .NET: the root is <resources>"),
        ("a.strings", '"a" = "b";\n"c" = "d"\n', r"a.strings:2: neither a comment nor \"key\" = \"value\";"),
        ("a.strings", '/* open\n"a" = "b";', r"a.strings:1: neither a comment"),
        ("a.strings", b'"a" = "\xff";', r"a.strings:1: not valid UTF-8"),
        ("a.strings", '"a" = "b";'.encode("utf-16-le"), r"a.strings:1: not text, or UTF-16 without a byte order mark"),
        ("a.properties", b"a=\0", r"a.properties:1: not text"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_told(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        through(tmp_path, name, content)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.strings", "a.properties"])
@pytest.mark.parametrize("content", ["", "\n"])
def test_empty_files(tmp_path: Path, name: str, content: str) -> None:
    assert through(tmp_path, name, content) == content


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("strings.xml", "<resources><string name='a'>{}</string></resources>", "X \U0001f600 Y"),
        ("a.strings", '"a" = "{}";', "X \U0001f600 Y"),
        ("a.properties", "a={}", r"X \uD83D\uDE00 Y"),
    ],
)
def test_surrogate_pairs_in_escapes(
    tmp_path: Path, told: pytest.LogCaptureFixture, name: str, content: str, expected: str
) -> None:
    pair, half = (content.format(rf"x {written} y") for written in (r"\uD83D\uDE00", r"\uD83D"))
    assert through(tmp_path, name, pair) == content.format(expected)
    assert through(tmp_path, name, half) == half
    assert told.messages[-1].endswith(f"{name}:1: it has half of a surrogate pair, which is no character")


@pytest.mark.parametrize("name", ["strings.xml", "a.resx"])
def test_cdata_has_no_references(tmp_path: Path, told: pytest.LogCaptureFixture, name: str) -> None:
    before, after = (
        ("<resources><string name='a'>", "</string></resources>")
        if name == "strings.xml"
        else ("<root><data><value>", "</value></data></root>")
    )
    content = f"<?xml version='1.0' encoding='iso-8859-1'?>{before}<![CDATA[three]]>{after}"
    assert through(tmp_path, name, content, Fixed({"three": "три"})) == content
    assert told.messages[-1].endswith(f"{name}:1: CDATA in iso-8859-1 can't have 'т'; convert the file to UTF-8")
    assert through(tmp_path, name, content, Fixed({"three": "a ]]> b"})) == content
    assert through(tmp_path, name, content, Fixed({"three": "3"})) == content.replace("three", "3")


def test_carriage_returns_that_are_references_stay_so(tmp_path: Path) -> None:
    content = "<root><data><value>one&#13;\r\ntwo</value></data></root>\r\n"
    assert through(tmp_path, "a.resx", content) == content.replace("one", "ONE").replace("two", "TWO")


def test_choices_of_java_stay(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = "a=there {0,choice,0#are no files|1#is one|1<are {0}}.\n"
    assert through(tmp_path, "a.properties", content) == content
    assert "it is an ICU message" in told.messages[-1]


def test_an_indented_key_without_a_value_stays(tmp_path: Path) -> None:
    assert through(tmp_path, "a.properties", "a = b\n  c\n  d e\n") == "a = B\n  c\n  d E\n"


def test_keys_of_other_messages_are_placeholders(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = '{"a": "now $t(common.save)", "b": "say @:msg.hello", "c": "fine $t(x)"}'
    translations = {"now $t(common.save)": "jetzt $t(gemein)", "say @:msg.hello": "sage @:msg.hallo"}
    translations |= {"fine $t(x)": "$t(x) ja"}
    assert through(tmp_path, "a.json", content, Fixed(translations)) == content.replace("fine $t(x)", "$t(x) ja")
    assert told.messages[-2].endswith("without $t(common.save); with an extra $t(gemein)")


def test_keys_of_properties_with_escapes(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = r"""k = a
k\ =b
k\=: c
k\: d
k\\=e
k\
   \ \
  l \
  = \
  f
k\
  m
n \=g
o==h
"""
    expected = re.sub(r"(?<=[= ])[abcdh](?=\n)|(?<==)e(?=\n)", lambda match: match[0].upper(), content)
    expected = expected.replace("  f\n", "  F\n").replace(r"\=g", r"\=G").replace("==H", r"=\=H")
    assert through(tmp_path, "a.properties", content) == expected
    assert told.messages == ["translated 8 of 8 texts"]
    twice = "k\\\n l = a\nkl = b\n"
    assert through(tmp_path, "b.properties", twice) == twice
    assert told.messages[-1].endswith("b.properties:3: the key 'kl' is in the file more than once")


def test_values_of_resx_with_elements_stay(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = "<root><data name='a'><value>one <b/> two</value></data></root>"
    assert through(tmp_path, "a.resx", content) == content
    assert told.messages[-1].endswith("a.resx:1: it has elements inside")


def test_strings_with_instructions_to_programs_stay(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = "<resources><string name='a'>one <?x y?> two</string></resources>"
    assert through(tmp_path, "strings.xml", content) == content
    assert told.messages[-1].endswith("strings.xml:1: it has a comment inside, or an instruction to a program")
