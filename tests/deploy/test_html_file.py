"""Pages: text and the attributes that people read are translated; all else stays."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.documents import EN_DE, Fixed, Heard, Upper, through

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import translate_document
from neuronspec.deploy.documents.html_text import markup_of, translate_html

PAGE = """<!DOCTYPE html>
<html LANG='en-US'>
<head><meta charset="utf-8"><title>my page</title>
<meta name="description" content='tom &amp; co'><meta name=viewport content="width=device-width">
<meta property="og:title" content="my page">
<script>var a = "<b>hello</b>";</script><style>p:before { content: "no" }</style></head>
<body class="title">
<p>good <b>day</b> &copy; world&nbsp;!<br>next <img src="a.png" alt="a &quot;cat&quot;"> line
<p translate="no">stay <b>here</b>
<p>go <span lang="fr">bonjour</span> on <code>x = 1</code> now
<ul><li class="x notranslate">no<ul><li>nested</ul><li lang="en">two</ul>
<input placeholder='your name' value=keep><a title="don&#39;t" href="/save">save</a><!-- save -->
<button aria-label="close">x</button>
<table><tr><td>a cell<td>careless {name}</table>
</body></html>
"""


def test_a_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    expected = PAGE
    for before, after in (
        ("'en-US'", "'de'"), ('lang="en"', 'lang="de"'), ("<title>my page", "<title>MY PAGE"), ("tom", "TOM"),
        ("co'", "CO'"),
        ('content="my page"', 'content="MY PAGE"'), ("good <b>day</b> &copy; world&nbsp;", "GOOD <b>DAY</b> © WORLD "),
        (">next ", ">NEXT "), ("> line", "> LINE"), ("a &quot;cat&quot;", "A &quot;CAT&quot;"), ("<p>go", "<p>GO"),
        ("</span> on", "</span> ON"), ("</code> now", "</code> NOW"), (">two<", ">TWO<"), ("your name", "YOUR NAME"),
        ("don&#39;t", "DON'T"), (">save<", ">SAVE<"), ("close", "CLOSE"), (">x<", ">X<"), ("a cell", "A CELL"),
    ):  # fmt: skip
        assert before in expected
        expected = expected.replace(before, after)
    assert through(tmp_path, "a.html", PAGE) == expected
    assert caplog.messages[0] == "translated 14 of 15 texts"
    assert caplog.messages[2].endswith("a.html:14: the translation is without {name}")
    assert through(tmp_path, "b.htm", PAGE.replace("\n", "\r\n")) == expected.replace("\n", "\r\n")


def test_a_declared_encoding_stays_and_what_it_lacks_becomes_a_reference(tmp_path: Path) -> None:
    page = '<html><meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1"><p title="x">schön</p></html>'
    (tmp_path / "a.html").write_bytes(page.encode("latin-1"))
    engine = Fixed({"schön": "Łódź ü"})
    translate_document(engine, EN_DE, str(tmp_path / "a.html"), tmp_path / "out.html")  # type: ignore[arg-type]
    assert (tmp_path / "out.html").read_bytes() == page.replace("schön", "&#321;ód&#378; ü").encode("latin-1")


def test_quotes_and_marks_in_translations_are_escaped(tmp_path: Path) -> None:
    engine = Fixed({"one": 'a "b" < c', "two": "it's & so"})
    page = "<p title=\"one\" >two</p><p title='two'>one</p><p>two <i>three</i></p>"
    assert through(tmp_path, "a.html", page, engine) == (
        '<p title="a &quot;b&quot; &lt; c" >it\'s &amp; so</p><p title=\'it&#39;s &amp; so\'>a "b" &lt; c</p>'
        "<p>two <i>three</i></p>"
    )


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p translate=no>a<p>b", "<p translate=no>a<p>B"),
        ("<div translate='no'><div>a</div>b</div>c", "<div translate='no'><div>a</div>b</div>C"),
        ("<ul><li translate=no>a</ul>b", "<ul><li translate=no>a</ul>B"),
        ("a <i class=notranslate>b</i> c", "A <i class=notranslate>b</i> C"),
        ("<p class='translate'>a</p>", "<p class='translate'>A</p>"),
        ("<p xml:lang='fr'>a</p><p lang='en-GB'>b</p>", "<p xml:lang='fr'>a</p><p lang='en-GB'>B</p>"),
        ("<p lang=''>c</p>", "<p lang=''>C</p>"),
        ("<br translate=no>a", "<br translate=no>A"),
        ("<script>a<br>c<!-- d", "<script>A<br>C&lt;!-- D"),
        ("<!-- a>b<!-- c -->d<pre>e</PRE>f<pre>g", "<!-- a>b<!-- c -->D<pre>e</PRE>F<pre>G"),
        ("<i>a</i> " * 101, "<i>a</i> " * 101),
        ("a < b <0>c</0> <>", "A &lt; B <0>C</0> &lt;&gt;"),
        ("<p translate=no>a", "<p translate=no>a"),
    ],
)  # fmt: skip
def test_what_is_marked_stays_also_in_texts(page: str, expected: str) -> None:
    assert translate_html(Upper(), EN_DE, [page]) == [expected]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<!DOCTYPE html>\n<html lang=fr><p>a", r"a.html:2: the page says lang=fr, and the translation is from en"),
        ("<meta charset=klingon>", r"a.html:1: the encoding 'klingon' isn't supported; convert the file to UTF-8"),
        ("<meta charset=utf-7>", r"a.html:1: the encoding 'utf-7' isn't supported"),
        (b"<p>\n\xff", r"a.html:2: not valid UTF-8"),
        (b"<meta charset=big5>\n<p>\xff", r"a.html:2: not valid big5"),
    ],
)
def test_pages_that_cannot_be_read_are_told(tmp_path: Path, content: bytes | str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        through(tmp_path, "a.html", content)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_an_empty_page(tmp_path: Path) -> None:
    assert through(tmp_path, "a.html", "") == ""


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>Name<img src=x>Address</p>", "<p>NAME<img src=x>ADDRESS</p>"),
        ("<label>First<input>Second</label>", "<label>FIRST<input>SECOND</label>"),
        (
            "<p>one <img src=x> two<b> <img src=y></b>three",
            "<p>ONE <img src=x> TWO<b><img src=y></b> THREE",
        ),
    ],
)
def test_words_around_pictures_and_fields_stay_apart(tmp_path: Path, page: str, expected: str) -> None:
    engine = Heard()
    assert through(tmp_path, "a.html", page, engine) == expected
    assert not {"NameAddress", "FirstSecond"} & engine.words


@pytest.mark.parametrize(
    ("page", "translations", "expected"),
    [
        (
            "<p>{% if a > b %}Hello & more{% endif %}</p>", 
            {"{% if a > b %}Hello & more{% endif %}": "{% if a > b %}1 < 2 & 3{% endif %}"},
            "<p>{% if a > b %}1 &lt; 2 &amp; 3{% endif %}</p>",
        ),
        ("<p>{{ a &gt; b }} x & y</p>", {"{{ a > b }} x & y": "y & {{ a > b }}"}, "<p>y &amp; {{ a &gt; b }}</p>"),
        ("<p>a <b>{x:>8}</b>", {"a {x:>8}": "b {x:>8}"}, "<p>b <b>{x:>8}</b>"),
        ("<p title='{% a > \"b\" %} c'>", {'{% a > "b" %} c': '{% a > "b" %} "d'}, "<p title='{% a > \"b\" %} \"d'>"),
    ],
)  # fmt: skip
def test_what_programs_read_in_braces_stays_as_it_is_written(
    tmp_path: Path, page: str, translations: dict[str, str], expected: str
) -> None:
    assert through(tmp_path, "a.html", page, Fixed(translations)) == expected


@pytest.mark.parametrize("page", [
    "<p>a</p><?php if ($a > 1) { echo '<b>no</b>'; } ?><p>b</p>",
    "<p>a<![CDATA[x > <i>no</i> y]]>b</p>",
    "<?xml:namespace prefix = o /><p>a</p><?php $a->b(); ?><p>b</p>",
    "<p>a</p><?php echo 1 > <p>b</p>",
])  # fmt: skip
def test_programs_and_text_without_markup_stay(tmp_path: Path, page: str) -> None:
    expected = re.sub(r"(?<=<p>)[ab]|b(?=</p>)", lambda match: match[0].upper(), page)
    assert through(tmp_path, "a.html", page) == expected


@pytest.mark.parametrize("tag", [
    '<meta name="description" lang="fr" content="Bonjour le monde">', "<img lang=fr alt='le chat'>",
    '<input translate="no" placeholder="name">', '<img class="notranslate" alt="logo"/>',
])  # fmt: skip
def test_elements_without_an_end_that_are_to_stay_do(tmp_path: Path, tag: str) -> None:
    assert through(tmp_path, "a.html", f"<html lang=en>{tag}<p>hello") == f"<html lang=de>{tag}<p>HELLO"


def test_attributes_of_elements_whose_content_stays(tmp_path: Path) -> None:
    page = '<textarea placeholder="your text" lang="en">stay</textarea><svg aria-label="home" lang="fr"><g/></svg>'
    more = '<pre title="code">a</pre><p translate="no"><textarea title="b"></textarea></p><style title="c"></style>'
    expected = page.replace("your text", "YOUR TEXT") + more.replace('"code"', '"CODE"')
    assert through(tmp_path, "a.html", page + more) == expected


@pytest.mark.parametrize("page", [
    "<svg class='a'/><p>a</p><svg><text>stay</text></svg>",
    "<?xml version='1.0'?><html><script src='a.js'/><p>a</p><script>stay</script></html>",
    "<script src='a.js'/><p>stay</p></script><p>a</p>",
])  # fmt: skip
def test_empty_elements_hold_nothing(tmp_path: Path, page: str) -> None:
    assert through(tmp_path, "a.html", page) == page.replace("<p>a", "<p>A")


def test_the_encoding_of_an_xml_declaration(tmp_path: Path) -> None:
    page = '<?xml version="1.0" encoding="iso-8859-2"?>\n<p>čas</p>'
    (tmp_path / "a.xhtml").write_bytes(page.encode("iso-8859-2"))
    translate_document(Upper(), EN_DE, str(tmp_path / "a.xhtml"), tmp_path / "b.xhtml")  # type: ignore[arg-type]
    assert (tmp_path / "b.xhtml").read_bytes().decode("iso-8859-2") == page.replace("čas", "ČAS")


@pytest.mark.parametrize(("page", "expected"), [
    ("""<b onclick="x; lang = 'fr'">a</b>""", """<b onclick="x; lang = 'fr'">A</b>"""),
    ("""<b onclick="x; lang = 'en'; title = 'b'">a</b>""", """<b onclick="x; lang = 'en'; title = 'b'">A</b>"""),
    ("""<b data-x='a translate="no" b'>a</b>""", """<b data-x='a translate="no" b'>A</b>"""),
    ("""<a href="x"title="b" lang=en>a</a>""", """<a href="x"title="B" lang=de>A</a>"""),
    ("""<img lang=fr/><p CLASS='x notranslate'>a</p><p lang="en" xml:lang='en'>a""",
     """<img lang=fr/><p CLASS='x notranslate'>a</p><p lang="de" xml:lang='de'>A"""),
])  # fmt: skip
def test_what_stands_in_attributes_is_none(tmp_path: Path, page: str, expected: str) -> None:
    assert through(tmp_path, "a.html", page) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<svg><svg><text>a</text></svg><text>b</text></svg>c", "<svg><svg><text>a</text></svg><text>b</text></svg>C"),
        ("<svg><svg/><text>b</text></svg>c", "<svg><svg/><text>b</text></svg>C"),
        ("<pre>a<PRE>b</PRE >c</pre>d", "<pre>a<PRE>b</PRE >c</pre>D"),
        ("<code>a<code>b</code>c</code> d", "<code>a<code>b</code>c</code> D"),
        ("<code>a<code>b d <code>c</code> d", "<code>a<code>b d <code>c</code> D"),  # of which two lack their ends
        ("<script>'<script>'</script>a<script>b</script>", "<script>'<script>'</script>A<script>b</script>"),
        ("<textarea><textarea></textarea>a</textarea>", "<textarea><textarea></textarea>A</textarea>"),
        ('<svg a="</svg>"><text>a</text></svg>b', '<svg a="</svg>"><text>a</text></svg>B'),
        ("<code-block>a</code-block><p>b</p><code>c</code>", "<code-block>A</code-block><p>B</p><code>c</code>"),
        ("<svg-icon>a</svg-icon><p>b</p><svg>c</svg>", "<svg-icon>A</svg-icon><p>B</p><svg>c</svg>"),
        ("<my_part>a b</my_part>", "<my_part>A B</my_part>"),
        ("<p>name: <u>&nbsp;&nbsp;&nbsp;</u> date</p>", "<p>NAME: <u>\u00a0\u00a0\u00a0</u> DATE</p>"),
    ],
)
def test_elements_in_one_another(tmp_path: Path, content: str, expected: str) -> None:
    assert through(tmp_path, "a.html", content) == expected


@given(st.lists(st.sampled_from(["<svg>", "</svg>", "<svg/>", "<code>", "</code>", "x", "<p>", "<!--", "-->"])))
def test_elements_whose_content_stays_are_whole(pieces: list[str]) -> None:
    page = "".join(pieces)
    at = 0
    for match in markup_of(page):
        assert match.start() >= at
        at = match.end()
        if match["opaque"]:
            kind = match["opaque"]
            assert match[0].startswith(f"<{kind}>") and match[0].endswith(f"</{kind}>")
