"""Every format of the registry: an engine that changes nothing gives the document back, another one changes its texts.

A format without a strategy for its documents fails.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from html import escape as escape_html
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.documents import EN_DE, Same, Upper

from neuronspec.core.errors import NeuronspecError
from neuronspec.deploy.documents.document import Options, translate_stream
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.registry import FORMATS

Engine = Callable[[str], str]
Render = Callable[[Engine | None], str]
"""A document as it comes out of an engine; without one, as it goes in."""

DOCUMENTS: dict[str, Callable[[Any], Render]] = {}

WORDS = ["save", "file", "été", "don't", "R&D", "a", "1", "=", "日本", "ß", "“x”", "{name}", "x/y"]
LETTERS = ["save", "file", "été", "ab", "c"]
END = st.sampled_from(["\n", "\r\n"])


def document(function: Callable[[Any], Render]) -> Callable[[Any], Render]:
    DOCUMENTS[function.__name__] = function
    return function


def sentence(draw: Any, *more: str) -> str:
    words = [draw(st.sampled_from(LETTERS)), *draw(st.lists(st.sampled_from([*WORDS, *more]), max_size=4))]
    return " ".join(words)


def put(engine: Engine | None, text: str, escape: Engine = str, written: str | None = None) -> str:
    """A text that stays as it is written where it stays the same."""
    written = escape(text) if written is None else written
    found = engine(text) if engine else text
    return written if found == text else escape(found)


def parts(draw: Any, makers: list[Callable[[], Render]], most: int = 5) -> Render:
    """Some parts of a document, one after the other."""
    made = [draw(st.sampled_from(makers))() for _ in range(draw(st.integers(0, most)))]
    return lambda engine: "".join(part(engine) for part in made)


def fixed(*choices: str) -> Callable[[], Render]:
    """A part that stays; which one is chosen when the document is drawn."""
    return lambda: lambda engine: choices[0]


def one_of(draw: Any, *choices: Any) -> Any:
    return draw(st.sampled_from(choices))


@document
def text(draw: Any) -> Render:
    lines = [(one_of(draw, "", " ", "\t"), sentence(draw), draw(END)) for _ in range(draw(st.integers(0, 4)))]
    return lambda engine: "".join(f"{space}{put(engine, line)}{end}" for space, line, end in lines)


def table(draw: Any, separator: str, escape: Engine) -> Render:
    end = draw(END)
    rows = [(sentence(draw), sentence(draw)) for _ in range(draw(st.integers(1, 3)))]

    def render(engine: Engine | None) -> str:
        added = [f"{separator}translation" if engine else ""]
        added += [f"{separator}{escape(engine(row[1]))}" if engine else "" for row in rows]
        lines = [("id", "word"), *((escape(first), escape(second)) for first, second in rows)]
        return "".join(separator.join(line) + more + end for line, more in zip(lines, added, strict=True))

    return render


@document
def tsv(draw: Any) -> Render:
    return table(draw, "\t", str)


@document
def csv(draw: Any) -> Render:
    separator = one_of(draw, ",", ";")
    return table(draw, separator, lambda cell: f'"{cell}"' if separator in cell else cell)


@document
def jsonl(draw: Any) -> Render:
    rows = [sentence(draw, '"', "\\") for _ in range(draw(st.integers(0, 3)))]

    def render(engine: Engine | None) -> str:
        lines = []
        for row in rows:
            added = f", {json.dumps('translation')}: {json.dumps(engine(row), ensure_ascii=False)}" if engine else ""
            lines.append(f'{{ "n": 1.0, "word": {json.dumps(row)}{added}}}\n')
        return "".join(lines)

    return render


@document
def po(draw: Any) -> Render:
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    entries = [(sentence(draw), draw(st.booleans())) for _ in range(draw(st.integers(0, 3)))]

    def render(engine: Engine | None) -> str:
        pieces = [header]
        for number, (line, finished) in enumerate(entries):
            fuzzy = "#, fuzzy\n" if engine and not finished else ""
            filled = "DONE" if finished else engine(line) if engine else ""
            pieces.append(f'\n# x\n{fuzzy}msgctxt "{number}"\nmsgid  "{line}"\nmsgstr  "{filled}"\n')
        return "".join(pieces)

    return render


@document
def xliff(draw: Any) -> Render:
    units = [
        (sentence(draw, "<"), draw(st.booleans()), one_of(draw, "", "\n ")) for _ in range(draw(st.integers(0, 3)))
    ]

    def render(engine: Engine | None) -> str:
        pieces = []
        for line, finished, space in units:
            source = line.replace("&", "&amp;").replace("<", "&lt;")
            target = '<target state="needs-review-translation">' if engine and not finished else "<target>"
            filled = "DONE" if finished else engine(source) if engine else ""
            filled = filled.replace("&AMP;", "&amp;").replace("&LT;", "&lt;")
            pieces.append(
                f"{space}<trans-unit id='1'>{space}<source>{source}</source>{target}{filled}</target></trans-unit>"
            )
        return (
            "<?xml version='1.0'?>\n<xliff xmlns='urn:oasis:names:tc:xliff:document:1.2' ><!-- > --><file "
            f"target-language='de'><body>{''.join(pieces)}</body></file></xliff>"
        )

    return render


@document
def tmx(draw: Any) -> Render:
    units = [(sentence(draw), draw(st.booleans())) for _ in range(draw(st.integers(0, 3)))]

    def render(engine: Engine | None) -> str:
        pieces = []
        for line, finished in units:
            source = line.replace("&", "&amp;")
            filled = '<tuv xml:lang="de" creationid="neuronspec"><seg>' if engine else ""
            filled += f"{engine(line).replace('&', '&amp;')}</seg></tuv>" if engine else ""
            filled = "<tuv xml:lang='de' ><seg>DONE</seg></tuv>" if finished else filled
            pieces.append(f"<tu><tuv xml:lang='en'><seg>{source}</seg></tuv>{filled}</tu>")
        return f"<tmx><body>{''.join(pieces)}</body></tmx>\n"

    return render


@document
def srt(draw: Any) -> Render:
    end = draw(END)

    def cue() -> Render:
        lines = [sentence(draw)] if draw(st.booleans()) else draw(st.lists(st.sampled_from(LETTERS), min_size=1))[:3]
        before, after = one_of(draw, "", "<i>", "{\\an8}"), one_of(draw, "", "</i>")
        number = one_of(draw, "1", "01", "") + end
        time = f"00:00:01,000 --> 00:00:02{one_of(draw, ',', '.')}500{one_of(draw, '', ' X1:1 X2:2')}{end}"
        return lambda engine: number + time + before + end.join(put(engine, line) for line in lines) + after + end * 2

    return parts(draw, [cue])


@document
def vtt(draw: Any) -> Render:
    end = draw(END)

    def cue() -> Render:
        line = sentence(draw)
        written = escape_html(line, quote=False).replace("ß", one_of(draw, "ß", "&szlig;", "&#223;"))
        name, voice = one_of(draw, "", f"intro{end}"), one_of(draw, "", "<v Mary Ann>", "- ")
        time = f"{one_of(draw, '', '00:')}00:01.000 --> 00:02.500{one_of(draw, '', ' align:start')}{end}"

        def render(engine: Engine | None) -> str:
            found = put(engine, line, lambda text: escape_html(text, quote=False), written)
            return f"{name}{time}{voice}{found}{end}{end}"

        return render

    stays = [f"NOTE some text{end}more{end}{end}", f"STYLE{end}::cue {{ color: red }}{end}{end}"]
    body = parts(draw, [cue, *map(fixed, stays)])
    start = one_of(draw, "WEBVTT", "WEBVTT - a title", f"WEBVTT{end}Kind: captions")
    return lambda engine: f"{start}{end}{end}{body(engine)}"


@document
def html(draw: Any) -> Render:
    def escape(line: str) -> str:
        return escape_html(line, quote=False)

    def paragraph() -> Render:
        line, marked = sentence(draw), draw(st.sampled_from(LETTERS))
        name, space = one_of(draw, "p", "LI", "td class='x > y'"), one_of(draw, "", "\n  ")
        written = escape(line).replace("ß", one_of(draw, "ß", "&szlig;"))

        def render(engine: Engine | None) -> str:
            if engine and engine(line) == line and engine(marked) == marked:
                return render(None)
            rest = written if engine is None else escape(engine(line))
            return f"<{name}>{space}{rest} <b id=x>{put(engine, marked)}</b>{space}</{name.split()[0]}>"

        return render

    def image() -> Render:
        line, quote = sentence(draw), one_of(draw, '"', "'")
        mark = {"'": "&#39;", '"': "&quot;"}[quote]
        return lambda engine: (
            f"<img src=a alt = {quote}{put(engine, line, lambda text: escape(text).replace(quote, mark))}{quote}><hr/>"
        )

    stays = [
        "<!-- save -->",
        "<script>save('<p>file</p>')</script>",
        "<pre>save\n <b>file</b></pre>",
        "<svg><svg/><svg><text>ab</text></svg><text>save</text></svg>",
        "<div><pre>save <PRE>file</PRE> ab</pre></div>",
        "<script>'<script>'</script>",
        "<textarea><textarea></textarea>",
        "<br>",
        "<div translate=no>save <b>file</b></div>",
        "<p lang='fr'>file</p>",
        "<DIV class='a notranslate'>ab</DIV>",
    ]
    body = parts(draw, [paragraph, image, *map(fixed, stays)])
    return lambda engine: f"<!DOCTYPE html>\n<html><head><meta charset=utf-8></head>{body(engine)}</html>"


@document
def markdown(draw: Any) -> Render:
    def lines() -> Render:
        words = draw(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3))
        first, rest = draw(st.sampled_from([("", ""), ("> ", "> "), ("- ", "  "), ("1. ", "   "), ("  * ", "    ")]))
        return lambda engine: first + f"\n{rest}".join(put(engine, word) for word in words) + "\n\n"

    def inline() -> Render:
        words = draw(st.lists(st.sampled_from([word for word in WORDS if word not in "1="]), min_size=2, max_size=2))
        first = draw(st.sampled_from(LETTERS))
        before, after = draw(
            st.sampled_from([("**", "**"), ("*", "*"), ("[", '](http://x.y/a_b "a b")'), ("~~", "~~"), ("<b>", "</b>")])
        )
        block = one_of(draw, "", "# ", "### ", "> > ")
        return lambda engine: (
            f"{block}{put(engine, first)} `save a` {before}{put(engine, words[0])}{after} {put(engine, words[1])}\n\n"
        )

    def cells() -> Render:
        words = draw(st.lists(st.sampled_from(LETTERS), min_size=4, max_size=4))
        bar = one_of(draw, "", r"1\|1 ", r"`a\|b` ")
        return lambda engine: "| {} | {} |\n|---|:-:|\n| {}{}|**{}** |\n\n".format(
            *(put(engine, one) for one in words[:2]), bar, *(put(engine, one) for one in words[2:])
        )

    def image() -> Render:
        line = draw(st.sampled_from(LETTERS))
        return lambda engine: f"![{put(engine, line)}](save.png)\n\n"

    stays = [
        "```\nsave\n```\n\n",
        "    save file\n\n",
        "<div>save</div>\n\n",
        "---\n\n",
        "[save]: http://x.y 'file'\n\n",
        "<https://x.y/save>\n\n",
        "\n",
    ]
    body = parts(draw, [lines, inline, cells, image, *map(fixed, stays)])
    start = one_of(draw, "", "---\ntitle: save\n---\n\n")
    return lambda engine: start + body(engine)


@document
def json_(draw: Any) -> Render:
    numbers, space = draw(st.booleans()), one_of(draw, "", " ", "\n\t")

    def escape(line: str) -> str:
        return json.dumps(line, ensure_ascii=numbers)

    def pair(number: int) -> Render:
        line = sentence(draw, '"', "\\", "a\nb")
        kind = one_of(draw, "text", "list", "number", "note", "object", "address")
        key = f'"k{number}"{space}:{space}'
        if kind == "note":
            return lambda engine: f'"@k{number}": {{"description": {escape(line)}}}'
        if kind in ("number", "address"):
            return lambda engine: key + {"number": "-1.50E2", "address": '"https://x.y/a"'}[kind]
        before, after = {"text": ("", ""), "list": ("[1, ", ",null]"), "object": ('{"x":{},"y": ', "}")}[kind]
        return lambda engine: f"{key}{before}{put(engine, line, escape)}{after}"

    pairs = [pair(number) for number in range(draw(st.integers(0, 4)))]

    def render(engine: Engine | None) -> str:
        first = '"x": "\\u00df\\u65e5"' if numbers else '"x": "1"'
        found = put(engine, "ß日", lambda line: f'"x": {escape(line)}', first) if numbers else first
        return f"{{{space}{','.join([found, *(each(engine) for each in pairs)])}{space}}}\n"

    return render


@document
def strings(draw: Any) -> Render:
    end = draw(END)

    def escape(line: str) -> str:
        return line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    made = []
    for number in range(draw(st.integers(0, 4))):
        line = sentence(draw, '"', "\\", "a\nb")
        written = escape(line).replace("'", one_of(draw, "'", "\\'")).replace("ß", one_of(draw, "ß", "\\U00df"))
        before = one_of(draw, "", f'/* save = "x"; */{end}', f"// save{end}", end)
        made.append((f'{before}"k{number}"{one_of(draw, " = ", "=")}"', line, written))
    return lambda engine: "".join(f'{key}{put(engine, line, escape, written)}";{end}' for key, line, written in made)


@document
def properties(draw: Any) -> Render:
    end = draw(END)
    ascii_only = draw(st.booleans())

    def escape(line: str) -> str:
        found = line.replace("\\", "\\\\").replace("\n", "\\n")
        return "".join(f"\\u{ord(one):04X}" if ascii_only and not one.isascii() else one for one in found)

    made = []
    keys = ["k", r"k\ ", r"k\=", r"k\:", r"k\\", f"k\\{end}  l", r"\#k"]
    for key in draw(st.permutations(keys))[: draw(st.integers(0, 4))]:
        line = sentence(draw, "\\", "a\nb", ":")
        written = escape(line).replace(" ", one_of(draw, " ", f" \\{end}   ")).replace(":", one_of(draw, ":", "\\:"))
        before = one_of(draw, "", f"# save=x{end}", f"  ! save \\{end}", end)
        made.append((f"{before}{key}{one_of(draw, '=', ' = ', ':', ' ', f' = {chr(92)}{end}  ')}", line, written))
    start = "" if ascii_only else f"# ü{end}"
    return lambda engine: start + "".join(f"{key}{put(engine, line, escape, raw)}{end}" for key, line, raw in made)


@document
def android(draw: Any) -> Render:
    def escape(line: str) -> str:
        line = line.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"').replace("'", "\\'")
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def item() -> Render:
        line, quoted = sentence(draw, '"', "\\", "a\nb"), draw(st.booleans())
        written = (
            escape(line).replace("&amp;", one_of(draw, "&amp;", "&#38;")).replace("ß", one_of(draw, "ß", "\\u00df"))
        )
        before, after = draw(
            st.sampled_from(
                [
                    ('<string name="a">', "</string>"),
                    ('<string name="b" >\n  ', " </string >"),
                    ('<plurals name="c"><item quantity="one">', "</item></plurals>"),
                    ('<string-array name="d"><item>', "</item></string-array>"),
                    ('<string name="e"><b>', "</b></string>") if "\n" not in line else ("<string>", "</string>"),
                ]
            )
        )
        if quoted and "<b>" not in before:
            return lambda engine: (
                f'{before}"{put(engine, line, lambda text: escape(text).replace(chr(92) + chr(39), chr(39)))}"{after}'
            )
        return lambda engine: f"{before}{put(engine, line, escape, written)}{after}"

    stays = [
        "<!-- save -->\n",
        '<string name="n" translatable="false">save</string>',
        '<string name="r">@string/a</string>',
        '<dimen name="d">save</dimen>',
        "\n  ",
    ]
    body = parts(draw, [item, *map(fixed, stays)])
    return lambda engine: f"<?xml version='1.0' encoding=\"utf-8\"?>\n<resources >{body(engine)}</resources>\n"


@document
def resx(draw: Any) -> Render:
    def entry() -> Render:
        line = sentence(draw, "<", "a\nb")
        if draw(st.booleans()):
            return lambda engine: f"<data name='a'><value><![CDATA[{put(engine, line)}]]></value></data>"
        before, after = '<data name="b" xml:space="preserve"><value>', "</value><comment>save</comment></data>"
        return lambda engine: f"{before}{put(engine, line, lambda text: escape_html(text, quote=False))}{after}"

    stays = [
        "<!-- save -->\n",
        "<data name='t' type='System.X'><value>save</value></data>",
        "\n",
        "<resheader name='x'><value>save</value></resheader>",
        "<data name='>>b.Name'><value>save</value></data>",
    ]
    body = parts(draw, [entry, *map(fixed, stays)])
    return lambda engine: f"<?xml version='1.0'?>\n<root>{body(engine)}</root>"


def runs(draw: Any, namespace: str, prefix: str, space: str) -> Render:
    """Paragraphs of Office Open XML."""

    def escape(line: str) -> str:
        return escape_html(line, quote=False)

    def paragraph() -> Render:
        bold, plain, same = "<p:rPr b='1'/>", "", "<p:rPr/>"
        styles = one_of(draw, (plain, bold, plain), (plain, same, bold), (bold, plain, plain))
        words = ["c" if style == bold else sentence(draw) for style in styles]
        start, text, end = f"<p:r id='{one_of(draw, 'a', 'b')}'>", f"<p:t{space}>", "</p:t></p:r>"

        def render(engine: Engine | None) -> str:
            pieces, last_bold = list[str](), False
            is_changed = engine is not None and any(engine(word) != word for word in words)
            for word, style in zip(words, styles, strict=True):
                is_first, is_bold = not pieces, style == bold
                before = "" if is_first or is_bold else " "  # spaces are in what isn't bold
                if is_first or not (is_changed and (is_bold == last_bold)):
                    pieces.append(f"{'' if is_first else ' ' * is_bold + end}{start}{style}{text}")
                pieces.append(before + escape(engine(word) if engine else word))
                last_bold = is_bold
            return f"<p:p><p:pPr><x/></p:pPr>{''.join(pieces)}{end}</p:p>"

        return render

    stays = [
        "<!-- save -->",
        "<p:p/>",
        "<p:sectPr><x>save</x></p:sectPr>",
        "<p:p><p:del><p:r><p:t>file</p:t></p:r></p:del></p:p>",
    ]
    body = parts(draw, [paragraph, *map(fixed, stays)])
    return lambda engine: (
        f"<?xml version='1.0'?>\n<p:doc xmlns:p='{namespace}'>{body(engine)}</p:doc>".replace("<p:", f"<{prefix}:")
        .replace("</p:", f"</{prefix}:")
        .replace("xmlns:p=", f"xmlns:{prefix}=")
    )


@document
def docx(draw: Any) -> Render:
    return runs(draw, "http://schemas.openxmlformats.org/wordprocessingml/2006/main", "w", ' xml:space="preserve"')


@document
def pptx(draw: Any) -> Render:
    return runs(draw, "http://schemas.openxmlformats.org/drawingml/2006/main", "a", "")


@document
def odf(draw: Any) -> Render:
    def escape(line: str) -> str:
        return escape_html(line, quote=False)

    def paragraph() -> Render:
        words = [draw(st.sampled_from(LETTERS)), sentence(draw), sentence(draw)]
        name, mark = one_of(draw, "text:p", "text:h"), one_of(draw, "<text:tab/>", "<text:line-break/>")
        note = one_of(draw, "", "<text:note><text:p>{}</text:p></text:note>")

        def render(engine: Engine | None) -> str:
            first, second, third = (put(engine, word, escape) for word in words)
            span = f'<text:span style="b">{second}</text:span>'
            return f"<{name} style='x'>{first}{note.format(first)} {span}{mark}{third}</{name}>"

        return render

    stays = [
        "<!-- save -->",
        "<text:p/>",
        "<text:tracked-changes><text:p>save</text:p></text:tracked-changes>",
        "<x>save</x>",
    ]
    body = parts(draw, [paragraph, *map(fixed, stays)])
    return lambda engine: f"<?xml version='1.0'?>\n<office xmlns:text='urn:x'>{body(engine)}</office>"


@document
def epub(draw: Any) -> Render:
    return html(draw)


DOCUMENTS["json"] = DOCUMENTS.pop("json_")

MEMBERS = {"docx": "word/document.xml", "pptx": "ppt/slides/slide1.xml", "odf": "content.xml", "epub": "OEBPS/a.xhtml"}
"""Of formats that are archives, the member that is made here."""


def packed(member: str, content: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text, how in (
            ("mimetype", "application/x", zipfile.ZIP_STORED),
            ("media/a.xml", "<p>save</p>", zipfile.ZIP_DEFLATED),
            (member, content, zipfile.ZIP_DEFLATED),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1999, 1, 2, 3, 4, 6)), text, how)
        archive.comment = b"save"
    return out.getvalue()


def facts(content: bytes) -> list[Any]:
    """What is in an archive, and how."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        kept = [(each.filename, each.date_time, each.compress_type, each.external_attr) for each in members]
        return [archive.comment, kept, [archive.read(each) for each in members]]


def sent(kind: str, content: bytes, engine: Same) -> bytes:
    out = io.BytesIO()
    options = Options(column="word" if "column" in FORMATS.get(kind).options else None)
    translate_stream(engine, EN_DE, kind, Source(f"a.{kind}", io.BytesIO(content)), out, options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_nothing_changes_but_what_is_translated(kind: str, data: st.DataObject) -> None:
    assert kind in DOCUMENTS, f"write a function `{kind}` here that makes documents of this format"
    render = DOCUMENTS[kind](data.draw)
    for engine in (Same(), Upper()):
        if kind in MEMBERS:
            content, expected = (packed(MEMBERS[kind], render(each)) for each in (None, engine.one))
            found = sent(kind, content, engine)
            assert facts(found) == facts(expected)
            assert found == content or type(engine) is Upper
        else:
            assert sent(kind, render(None).encode(), engine).decode() == render(engine.one)


PIECES = [
    b"<",
    b">",
    b'"',
    b"\\",
    b"\n",
    b"\r",
    b"&",
    b"{",
    b"]",
    b"*",
    b"`",
    b"|",
    b"\0",
    b"\xff",
    b"</b>",
    b"<!--",
    b"--> ",
]
COPIED = sorted(set(DOCUMENTS) - {"po", "xliff", "tmx", "tsv", "csv", "jsonl"})
"""Formats in one language: an engine that changes nothing gives any file back that can be read."""


@pytest.mark.parametrize("kind", FORMATS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_damaged_documents_stay_or_are_refused(kind: str, data: st.DataObject) -> None:
    content = DOCUMENTS[kind](data.draw)(None).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        left = data.draw(st.integers(at, min(len(content), at + 9)))
        content = content[:at] + data.draw(st.sampled_from([b"", *PIECES])) + content[left:]
    raw = packed(MEMBERS[kind], content) if kind in MEMBERS else content
    for engine in (Same(), Upper()):
        try:
            found = sent(kind, raw, engine)
        except NeuronspecError as error:
            assert str(error).startswith(f"a.{kind}") or "--column" in str(error)
        else:
            assert type(engine) is Upper or kind not in COPIED or found == raw
