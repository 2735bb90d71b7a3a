"""Word, PowerPoint, OpenDocument and books: the texts of their parts; all else stays."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.helpers.documents import EN_DE, Fixed, Heard, Same, Upper

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents import archive
from neuronspec.deploy.documents.document import translate_document

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = ' xml:space="preserve"'


def packed(members: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in members.items():
            writer.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def members_after(tmp_path: Path, name: str, members: dict[str, str], engine: Same | None = None) -> dict[str, str]:
    raw = b"before" + packed(members)  # which no library writes again
    (tmp_path / name).write_bytes(raw)
    out = tmp_path / f"out-{name}"
    translate_document(Same(), EN_DE, str(tmp_path / name), out)  # type: ignore[arg-type]
    assert out.read_bytes() == raw
    translate_document(engine or Upper(), EN_DE, str(tmp_path / name), out)  # type: ignore[arg-type]
    with zipfile.ZipFile(out) as reader:
        assert reader.testzip() is None
        return {each: reader.read(each).decode() for each in reader.namelist()}


def paragraph(tmp_path: Path, content: str, engine: Same | None = None) -> str:
    """What becomes of a paragraph of Word."""
    before, after = f"<w:document {W}><w:body><w:p>", "</w:p></w:body></w:document>"
    found = members_after(tmp_path, "a.docx", {"word/document.xml": f"{before}{content}{after}"}, engine)
    return found["word/document.xml"].removeprefix(before).removesuffix(after)


def run(text: str, properties: str = "", *, space: str = S) -> str:
    return f"<w:r>{properties}<w:t{space}>{text}</w:t></w:r>"


LINK = '<w:hyperlink r:id="1" xmlns:r="r">'
BOX = "<w:r><w:pict><v><w:txbxContent><w:p>{}</w:p></w:txbxContent></v></w:pict></w:r>"
BOLD = "<w:rPr><w:b/></w:rPr>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (run("one ") + run("two", BOLD) + run(" three."), run("ONE ") + run("TWO", BOLD) + run(" THREE.")),
        (
            "<w:pPr/>" + run("wo", "<w:rPr><w:lang w:val='x'/></w:rPr>") + "<w:proofErr/>" + run("rd"),
            "<w:pPr/>" + run("WORD", "<w:rPr><w:lang w:val='x'/></w:rPr>"),
        ),
        (
            "<w:r><w:t>name:</w:t><w:tab/><w:t>a value</w:t><w:br/></w:r>" + run("more"),
            f"<w:r><w:t{S}>NAME:</w:t></w:r><w:r><w:tab/></w:r><w:r><w:t{S}>A VALUE</w:t></w:r><w:r><w:br/></w:r>"
            + run("MORE"),
        ),
        (
            run("see ") + LINK + run("the", BOLD) + run(" page") + "</w:hyperlink>" + run(" now"),
            run("SEE ") + LINK + run("THE", BOLD) + run(" PAGE") + "</w:hyperlink>" + run(" NOW"),
        ),
        (
            "<w:hyperlink>" + run("all") + "</w:hyperlink><w:bookmarkEnd w:id='1'/>",
            "<w:hyperlink>" + run("ALL") + "</w:hyperlink><w:bookmarkEnd w:id='1'/>",
        ),
        (
            run("word") + "<w:r>" + BOLD + "<w:footnoteReference w:id='2'/></w:r>" + run(" after"),
            run("WORD") + "<w:r>" + BOLD + "<w:footnoteReference w:id='2'/></w:r>" + run(" AFTER"),
        ),
        (
            run("page ") + "<w:r><w:fldChar/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>" + run("1") + run(" of"),
            run("PAGE ") + "<w:r><w:fldChar/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>" + run("1 OF"),
        ),
        (
            run("a") + "<w:ins>" + run("b") + "</w:ins><w:del><w:r><w:delText>c</w:delText></w:r></w:del>" + run("d"),
            run("A") + "<w:ins>" + run("B") + "</w:ins><w:del><w:r><w:delText>c</w:delText></w:r></w:del>" + run("D"),
        ),
        (
            run("x") + BOX.format(run("box")),
            run("X") + BOX.format(run("BOX")),
        ),
        (run("1 2") + "<w:r><w:t/></w:r>", run("1 2") + "<w:r><w:t/></w:r>"),
    ],
)  # fmt: skip
def test_paragraphs_of_word(tmp_path: Path, content: str, expected: str) -> None:
    assert paragraph(tmp_path, content) == expected


def test_formatting_follows_its_words(tmp_path: Path) -> None:
    class Reversed(Same):
        def one(self, text: str) -> str:
            return " ".join(reversed(text.split()))

        def align(self, lines: list[str], translations: list[str], direction: str) -> list[object]:  # type: ignore[override]
            found = super().align(lines, translations, direction)
            return [type(each)(each.source, each.target, each.weights[::-1]) for each in found]

    content = run("one two ") + run("bold", BOLD) + run(" three")
    assert paragraph(tmp_path, content, Reversed()) == run("three ") + run("bold", BOLD) + run(" two one")
    at_start = run("bold", BOLD) + run(" one two")
    assert paragraph(tmp_path, at_start, Reversed()) == run("two one ") + run("bold", BOLD)


def test_other_parts_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    part = f"<w:x {W}><w:p>{run('%s')}</w:p></w:x>"
    names = [
        "[Content_Types].xml",
        "word/document.xml",
        "word/header1.xml",
        "word/footnotes.xml",
        "word/comments.xml",
        "docProps/core.xml",
    ]
    found = members_after(
        tmp_path, "a.docx", {name: part % "careless {name} text" if "head" in name else part % "text" for name in names}
    )
    assert [name for name in names if "TEXT" in found[name]] == ["word/document.xml", "word/footnotes.xml"]
    assert list(found) == names
    assert caplog.messages[-1].endswith("a.docx:1: the translation is without {name}")
    slide = "<a:x xmlns:a='http://schemas.openxmlformats.org/drawingml/2006/main'><a:p><a:r><a:t>text</a:t></a:r><a:endParaRPr/></a:p></a:x>"
    slides = members_after(
        tmp_path, "a.pptx", {"ppt/slides/slide1.xml": slide, "ppt/slideLayouts/slideLayout1.xml": slide}
    )
    assert slides == {
        "ppt/slides/slide1.xml": slide.replace("text", "TEXT"),
        "ppt/slideLayouts/slideLayout1.xml": slide,
    }


def test_open_documents(tmp_path: Path) -> None:
    content = (
        '<office xmlns:text="t"><text:h>a title</text:h><text:p>some <text:span text:style-name="b">bold</text:span> '
        "words"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>a note</text:p></text:note-body>"
        "</text:note> and<text:s/>more.<text:line-break/>next<text:tab/>last</text:p><text:p/>"
        "<annotation><text:p>stay</text:p></annotation></office>"
    )
    expected = content
    for word in ("a title", "some ", ">bold<", " words", "a note", " and<text:s/>more", "next", "last"):
        expected = expected.replace(word, word.replace("<text:s/>", " ").upper())
    style = "<office xmlns:text='t'><text:p>a footer</text:p></office>"
    found = members_after(
        tmp_path, "a.odt", {"mimetype": "x", "content.xml": content, "styles.xml": style, "meta.xml": style}
    )
    assert found == {
        "mimetype": "x",
        "content.xml": expected,
        "styles.xml": style.replace("a footer", "A FOOTER"),
        "meta.xml": style,
    }


def test_books(tmp_path: Path) -> None:
    page = '<html xmlns="x" lang="en" xml:lang="en"><body><p>once <i>upon</i> a time</p></body></html>'
    package = "<package><title>my book</title><language>en-GB</language><creator>a person</creator></package>"
    contents = "<ncx><navLabel><text>chapter</text></navLabel></ncx>"
    (tmp_path / "a.epub").write_bytes(packed({"mimetype": "x", "a.xhtml": page, "a.opf": package, "a.ncx": contents}))
    translate_document(Upper(), EN_DE, str(tmp_path / "a.epub"), tmp_path / "out.epub")  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "out.epub") as reader:
        assert {name: reader.read(name).decode() for name in reader.namelist()} == {
            "mimetype": "x",
            "a.xhtml": '<html xmlns="x" lang="de" xml:lang="de"><body><p>ONCE <i>UPON</i> A TIME</p></body></html>',
            "a.opf": package.replace("my book", "MY BOOK").replace("en-GB", "de"),
            "a.ncx": contents.replace("chapter", "CHAPTER"),
        }


def encrypted() -> bytes:
    raw = bytearray(packed({"word/document.xml": "<w/>"}))
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def damaged() -> bytes:
    raw = bytearray(packed({"word/document.xml": "<w>" + "abc" * 50 + "</w>"}))
    raw[50] ^= 0xFF
    return bytes(raw)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", b"text", r"a.docx: not a zip archive, as these documents are, or damaged"),
        ("a.docx", b"", r"a.docx: not a zip archive"),
        ("a.docx", damaged(), r"a.docx: not a zip archive, as these documents are, or damaged"),
        ("a.docx", encrypted(), r"a.docx: it is encrypted; save it without a password"),
        ("a.docx", packed({"content.xml": "<x/>"}), r"a.docx: a zip archive, but no document of this format"),
        ("a.odt", packed({"word/document.xml": "<x/>"}), r"a.odt: a zip archive, but no document of this format"),
        ("a.pptx", packed({}), r"a.pptx: a zip archive, but no document of this format"),
        (
            "a.docx",
            packed({"word/document.xml": "<x>\n<y></x>"}),
            r"a.docx:word/document.xml:2: not XML: mismatched tag",
        ),
        (
            "a.odt",
            packed({"content.xml": "<p>" * 3000 + "x" + "</p>" * 3000}),
            r"a.odt: its elements are nested too deeply",
        ),
        (
            "a.odt",
            packed({"content.xml": "<p>" * 20 + "x" + "</p>" * 20}),
            r"content.xml: paragraphs are nested more than 10",
        ),
        ("a.epub", packed({"a.html": "<html lang=fr>"}), r"a.epub:a.html:1: the page says lang=fr"),
    ],
)
def test_other_files_are_told_and_nothing_is_written(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        translate_document(Fixed({}), EN_DE, str(tmp_path / name), tmp_path / "out")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_unpacked_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.docx").write_bytes(packed({"word/document.xml": "<w>" + " " * 2**21 + "</w>"}))
    for name, message in (("MOST_TEXT", "its text has more than 1 MiB; divide"), ("LARGEST", "it has more than 1 MiB")):
        monkeypatch.setattr(archive, name, 2**20)
        with pytest.raises(CorpusError, match=message):
            translate_document(Same(), EN_DE, str(tmp_path / "a.docx"), tmp_path / "out")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("next <t:span>bold<t:line-break/>word</t:span> end", "NEXT <t:span>BOLD<t:line-break/>WORD</t:span> END"),
        (
            "<t:span>a <t:a>b<t:span>c<t:tab/>d</t:span></t:a> e</t:span> f <t:span>g</t:span>",
            "<t:span>A <t:a>B<t:span>C<t:tab/>D</t:span></t:a> E</t:span> F <t:span>G</t:span>",
        ),
        ("name<t:frame/>address", "NAME<t:frame/>ADDRESS"),
        (
            "a word<t:note><t:p>two<t:line-break/>lines</t:p></t:note> here",
            "A WORD<t:note><t:p>TWO<t:line-break/>LINES</t:p></t:note> HERE",
        ),
    ],
)
def test_words_around_breaks_stay_apart(tmp_path: Path, content: str, expected: str) -> None:
    engine = Heard()
    part = "<x xmlns:t='urn:oasis:names:tc:opendocument:xmlns:text:1.0'><t:p>{}</t:p></x>"
    found = members_after(tmp_path, "a.odt", {"content.xml": part.format(content)}, engine)
    assert found["content.xml"] == part.format(expected)
    assert not {"boldword", "bcd", "cd", "nameaddress", "twolines"} & engine.words


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (run("one ") + f"<w:dir>{run('two ')}<w:bdo>{run('three')}</w:bdo></w:dir>", "ONE TWO THREE"),
        (f"<w:customXml><w:customXmlPr/>{run('two')}</w:customXml>", "TWO"),
        ("<w:r><w:t>an e</w:t><w:noBreakHyphen/><w:t>mail</w:t></w:r>", "AN E\u2011MAIL"),
        ("<w:r><w:t>an e</w:t><w:softHyphen/></w:r>" + run("mail"), "AN E\u00adMAIL"),
    ],
)
def test_text_in_further_elements_of_word(tmp_path: Path, content: str, expected: str) -> None:
    assert re.sub("<[^<>]*>", "", paragraph(tmp_path, content)) == expected


def ruby(text: str, reading: str, properties: str = "") -> str:
    return (
        f"<w:r>{properties}<w:ruby><w:rubyPr><w:lid w:val='ja-JP'/></w:rubyPr><w:rt>{run(reading)}</w:rt>"
        f"<w:rubyBase>{run(text, properties)}</w:rubyBase></w:ruby></w:r>"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (run("one ") + ruby("two", "x") + run(" three"), run("ONE TWO THREE")),
        (ruby("one", "x") + ruby("two", "x"), run("ONETWO")),
        (run("one ") + ruby("two", "x", BOLD), run("ONE ") + run("TWO", BOLD)),
        (
            "<w:r><w:t>one </w:t>" + ruby("two", "x").removeprefix("<w:r>").removesuffix("</w:r>") + "<w:br/></w:r>",
            run("ONE TWO") + "<w:r><w:br/></w:r>",
        ),
        (ruby("12", "x"), ruby("12", "x")),
    ],
)
def test_words_with_readings_in_word_are_translated_without_them(tmp_path: Path, content: str, expected: str) -> None:
    assert paragraph(tmp_path, content) == expected


@pytest.mark.parametrize("name", ["a.odt", "a.odp"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("one {two} three", "ONE TWO THREE"),
        ("{one}", "ONE"),
        ("<t:span>one {two}</t:span> three", "<t:span>ONE TWO</t:span> THREE"),
        ("{<t:span>one</t:span>} two", "<t:span>ONE</t:span> TWO"),
    ],
)
def test_words_with_readings_in_opendocument_are_translated_without_them(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    part = "<d xmlns:t='urn:t'><t:p>{}</t:p></d>"
    base, reading = "<t:ruby><t:ruby-base>", "</t:ruby-base><t:ruby-text>x</t:ruby-text></t:ruby>"
    written = content.replace("{", base).replace("}", reading)
    found = members_after(tmp_path, name, {"content.xml": part.format(written)})
    assert found["content.xml"] == part.format(expected)


def test_parts_of_word_with_numbers(tmp_path: Path) -> None:
    part = f"<w:document {W}><w:p>{run('one')}</w:p></w:document>"
    found = members_after(tmp_path, "a.docx", {"word/document2.xml": part, "word/footnotes1.xml": part})
    assert all("ONE" in each for each in found.values())


def test_names_in_utf8_that_do_not_say_so_stay(tmp_path: Path) -> None:
    raw = packed({"a.xhtml": "<p>one</p>", "gr__.png": b"x"}).replace(b"gr__", "gr\u00f6".encode())
    (tmp_path / "a.epub").write_bytes(raw)
    translate_document(Upper(), EN_DE, str(tmp_path / "a.epub"), tmp_path / "b.epub")  # type: ignore[arg-type]
    with zipfile.ZipFile(tmp_path / "b.epub") as reader:
        assert reader.namelist() == ["a.xhtml", "gr\u00f6.png"]


def test_spaces_before_a_paragraph_of_opendocument_stay(tmp_path: Path) -> None:
    before, after = '<d xmlns:text="t"><text:p><text:s text:c="4"/><text:s/>', "</text:p></d>"
    found = members_after(tmp_path, "a.odt", {"content.xml": f"{before}one<text:s/>two{after}"})
    assert found["content.xml"] == f"{before}ONE TWO{after}"


def test_contents_of_a_book_in_capitals_are_translated(tmp_path: Path) -> None:
    found = members_after(tmp_path, "a.epub", {"TOC.NCX": "<ncx><text>one</text></ncx>"})
    assert found == {"TOC.NCX": "<ncx><text>ONE</text></ncx>"}


TWICE = "<m:AlternateContent xmlns:m='m'><m:Choice>{0}</m:Choice><m:Fallback>{0}</m:Fallback></m:AlternateContent>"


@pytest.mark.parametrize("frame", [f"<w:r>{TWICE.format('<v><w:p>{0}</w:p></v>')}</w:r>", TWICE], ids=["box", "runs"])
def test_what_word_has_twice_is_translated_twice(tmp_path: Path, frame: str) -> None:
    content, expected = (run(before) + frame.format(run(text)) for before, text in (("a", "one b"), ("A", "ONE B")))
    assert paragraph(tmp_path, content) == expected


@pytest.mark.parametrize("blank", ["   ", "\u00a0\u2003"])
def test_blanks_to_fill_in_stay(tmp_path: Path, blank: str) -> None:
    underlined = run(blank, "<w:rPr><w:u/></w:rPr>")
    found = paragraph(tmp_path, run("name: ") + underlined + run(" date"))
    assert found == run("NAME: ") + underlined + run(" DATE")


@pytest.mark.parametrize(
    "content",
    [
        "{}: <text:span><text:s text:c='9'/></text:span> {}",
        "{}:<text:s text:c='9'/>{}",
        "<text:span><text:s text:c='9'/>{}</text:span> {}",
        "{} <text:span>{}<text:s text:c='9'/></text:span>",
        "{}<text:span> <text:tab/>{}<text:line-break/></text:span>",
    ],
)
def test_several_spaces_of_opendocument_stay(tmp_path: Path, content: str) -> None:
    part = f"<d xmlns:text='t'><text:p>{content}</text:p></d>"
    found = members_after(tmp_path, "a.odt", {"content.xml": part.format("name", "date")})
    assert found["content.xml"] == part.format("NAME", "DATE")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives_are_told(tmp_path: Path, method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as writer:
        writer.writestr("word/document.xml", " ".join(map(str, range(1000))))
    raw = out.getvalue()
    (tmp_path / "a.docx").write_bytes(raw[:100] + raw[100:200][::-1] + raw[200:])
    with pytest.raises(CorpusError, match=r"a.docx: not a zip archive, as these documents are, or damaged: ."):
        translate_document(Fixed({}), EN_DE, str(tmp_path / "a.docx"), tmp_path / "out")  # type: ignore[arg-type]


def test_lines_that_are_only_wrapped_are_one_sentence(tmp_path: Path) -> None:
    engine = Fixed({"a b c d": "d c b a"})
    part = "<d xmlns:text='t'><text:p>{}</text:p></d>"
    found = members_after(tmp_path, "a.odt", {"content.xml": part.format("a\n  b c\r\nd")}, engine)
    assert found["content.xml"] == part.format("d c b a")
    found = members_after(tmp_path, "b.odt", {"content.xml": part.format("\n a b\n <text:span>c\n d</text:span>\n")})
    assert found["content.xml"] == part.format(" A B <text:span>C D</text:span> ")
    assert paragraph(tmp_path, run("a b \n") + run("c\nd"), engine) == run("d c b a")
