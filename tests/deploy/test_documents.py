"""Catalogs and tables: what is filled, and that all else stays byte for byte."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.marking import Marking

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.corpus.readers.messages import verbatim
from neuronspec.deploy.documents.checks import kept, lost
from neuronspec.deploy.documents.document import Options, check_file, format_of, translate_document
from neuronspec.deploy.documents.po_file import read_catalog

EN_DE = Direction("en", "de")
HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n'
)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged."""
    caplog.set_level(logging.INFO, logger="neuronspec")
    return caplog


def through(tmp_path: Path, name: str, content: bytes | str, translator: Any = None, **options: Any) -> str:
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(raw)
    out = tmp_path / f"out-{name}"
    translate_document(translator or Marking(), EN_DE, str(tmp_path / name), out, Options(**options))
    return out.read_bytes().decode()


@pytest.fixture(scope="module")
def half_german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Django's German catalog with every second translation taken out."""
    spec = importlib.util.find_spec("django")
    assert spec is not None and spec.origin is not None
    catalog = polib.pofile(str(Path(spec.origin).parent / "conf/locale/de/LC_MESSAGES/django.po"))
    for number, entry in enumerate(catalog):
        if number % 2:
            entry.msgstr = ""
            entry.msgstr_plural = dict.fromkeys(entry.msgstr_plural, "")
    path = tmp_path_factory.mktemp("catalog") / "django.po"
    catalog.save(str(path))
    return path


def blocks(text: str) -> dict[str, str]:
    """The entries of a catalog as text, by their msgids."""
    found = {}
    for block in text.split("\n\n"):
        key = re.search(r"^(msgctxt.*\n)?msgid [\s\S]*?(?=^msgstr)", block, re.MULTILINE)
        if key:
            found[key[0]] = block
    return found


def test_a_real_catalog_is_filled_and_all_else_stays(
    half_german: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    before = half_german.read_text(encoding="utf-8")
    translate_document(Marking(), EN_DE, str(half_german), tmp_path / "out.po", Options())  # type: ignore[arg-type]
    after = (tmp_path / "out.po").read_text(encoding="utf-8")
    old, new = polib.pofile(before), polib.pofile(after)
    empty = {(e.msgctxt, e.msgid) for e in old if not e.translated()}
    assert len(empty) > 100
    assert told.messages == [f"filled {len(empty)} of {len(empty)} entries and marked them fuzzy"]
    for entry in new:
        if (entry.msgctxt, entry.msgid) in empty:
            assert entry.fuzzy
            forms = entry.msgstr_plural or {0: entry.msgstr}
            for number, form in forms.items():
                source = entry.msgid_plural if number else entry.msgid
                assert form.strip().startswith("¡") and verbatim(form) == verbatim(source)
                assert (form.startswith("\n"), form.endswith("\n")) == (source.startswith("\n"), source.endswith("\n"))
    untouched = {(e.msgctxt, e.msgid) for e in old if e.translated()}
    ours, theirs = blocks(before), blocks(after)
    assert list(ours) == list(theirs)
    same = [key for key in ours if ours[key] == theirs[key]]
    assert len(same) == len(untouched) + 1, "the header, too"
    removed = [line for line in before.split("\n") if not re.match(r'msgstr.*""$', line)]
    kept_lines = [
        line for line in after.split("\n") if "¡" not in line and not re.match(r'msgstr.*""$|#, fuzzy$', line)
    ]
    assert [re.sub("fuzzy, ", "", line) for line in kept_lines] == removed


@pytest.mark.skipif(shutil.which("msgfmt") is None, reason="gettext's msgfmt is not installed")
@pytest.mark.parametrize("flags", [[], ["--use-fuzzy"]])
def test_msgfmt_accepts_what_comes_out(half_german: Path, tmp_path: Path, flags: list[str]) -> None:
    translate_document(Marking(), EN_DE, str(half_german), tmp_path / "out.po")  # type: ignore[arg-type]
    command = ["msgfmt", "--check", *flags, "-o", "/dev/null", str(tmp_path / "out.po")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_entries_that_lose_placeholders_stay_and_are_listed(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = (
        f'{HEADER}\n#: a.py:1\n#, python-format\nmsgid "careless %(name)s"\nmsgstr ""\n\nmsgid "fine"\nmsgstr ""\n'
    )
    after = through(tmp_path, "a.po", content)
    assert after == content.replace('msgid "fine"\nmsgstr ""', '#, fuzzy\nmsgid "fine"\nmsgstr "¡fine"')
    assert told.messages[0] == "filled 1 of 2 entries and marked them fuzzy"
    assert told.messages[2].endswith("a.po:8: the translation is without %(name)s")


def test_flags_contexts_plurals_line_ends_and_obsolete_entries(tmp_path: Path) -> None:
    content = (
        f"# Ünïcode\n{HEADER}\n"
        '#, c-format\n#| msgid "old"\nmsgctxt "menu"\nmsgid "one\\n"\n"two\\n"\nmsgstr ""\n\n'
        'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] ""\nmsgstr[1] ""\n\n'
        '#, fuzzy\nmsgid "doubtful"\nmsgstr "zweifelhaft"\n\n#~ msgid "gone"\n#~ msgstr ""\n'
    ).replace("\n", "\r\n")
    after = through(tmp_path, "a.po", content)
    expected = (
        content.replace("#, c-format", "#, fuzzy, c-format")
        .replace('"two\\n"\r\nmsgstr ""', '"two\\n"\r\nmsgstr ""\r\n"¡one\\n"\r\n"¡two\\n"')
        .replace('msgid "%d file"', '#, fuzzy\r\nmsgid "%d file"')
        .replace('msgstr[0] ""', 'msgstr[0] "¡%d file"')
        .replace('msgstr[1] ""', 'msgstr[1] "¡%d files"')
    )
    assert after == expected
    again = through(tmp_path, "a.po", content, fuzzy=True)
    assert again == expected.replace("zweifelhaft", "¡doubtful")
    one_form = content.replace("nplurals=2; plural=n != 1;", "nplurals=1; plural=0;").replace('msgstr[1] ""\r\n', "")
    assert 'msgstr[0] "¡%d files"' in through(tmp_path, "b.po", one_form)


RUSSIAN = HEADER.replace(
    "nplurals=2; plural=n != 1;",
    "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);",
)
PAGES = 'msgid "%d page"\nmsgid_plural "%d pages"\n'


def test_an_entry_is_fuzzy_whichever_line_of_flags_says_so(tmp_path: Path) -> None:
    entry = '#, c-format\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n\n#, fuzzy\n#, python-format\nmsgid "c"\nmsgstr ""\n'
    content = f"{HEADER}\n{entry}"
    assert through(tmp_path, "a.po", content) == content.replace('"c"\nmsgstr ""', '"c"\nmsgstr "¡c"')
    assert [each.is_fuzzy for each in read_catalog("a.po", content.encode()).entries[1:]] == [True, True]


def test_finished_forms_stay_and_empty_ones_are_filled(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = f'{RUSSIAN}\n{PAGES}msgstr[0] "HUMAN %d"\nmsgstr[1]  "HUMAN-2 "\n  " %d"\nmsgstr[2] ""\n'
    assert through(tmp_path, "a.po", content) == content.replace("msgid ", "#, fuzzy\nmsgid ").replace(
        '#, fuzzy\nmsgid ""', 'msgid ""'
    ).replace('msgstr[2] ""', 'msgstr[2] "¡%d pages"')
    assert told.messages == ["filled 1 of 1 entries and marked them fuzzy"]
    full = content.replace('msgstr[2] ""', 'msgstr[2] "HUMAN %d"')
    assert through(tmp_path, "b.po", full) == full


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('msgstr[0] ""', 'msgstr[0] "¡%d page"\nmsgstr[1] "¡%d pages"\nmsgstr[2] "¡%d pages"'),
        ('msgstr[0] "HUMAN %d"', 'msgstr[0] "HUMAN %d"\nmsgstr[1] "¡%d pages"\nmsgstr[2] "¡%d pages"'),
        (
            'msgstr[0] ""\n"HUMAN "\n"%d"\nmsgstr[1] ""\n""',
            'msgstr[0] ""\n"HUMAN "\n"%d"\nmsgstr[1] "¡%d pages"\nmsgstr[2] "¡%d pages"',
        ),
    ],
)
def test_forms_that_an_entry_lacks_are_added(tmp_path: Path, before: str, after: str, end: str) -> None:
    found = through(tmp_path, "a.po", f"{RUSSIAN}\n{PAGES}{before}{end}")
    assert found == f"{RUSSIAN}\n#, fuzzy\n{PAGES}{after}{end}"
    windows = through(tmp_path, "b.po", f"{RUSSIAN}\n{PAGES}{before}{end}".replace("\n", "\r\n"))
    assert windows == found.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("header", "forms", "problem"),
    [
        (
            HEADER.replace("nplurals", "n"),
            '[0] ""\nmsgstr[1] ""',
            "the header has no Plural-Forms",
        ),
        (HEADER.replace("=2", "=99999999999"), '[0] ""', "the header has no Plural-Forms"),
        (HEADER.replace("=2", "=0"), '[0] ""', "the header has no Plural-Forms"),
        (HEADER, '[0] ""\nmsgstr[1] ""\nmsgstr[2] ""', "the plural forms 0, 1, 2, and the header says nplurals=2"),
        (HEADER, '[1] ""', "the plural forms 1, and the header says nplurals=2"),
    ],
)
def test_defective_entries_are_listed_and_the_others_filled(
    tmp_path: Path, told: pytest.LogCaptureFixture, header: str, forms: str, problem: str
) -> None:
    content = f'{header}\nmsgid "a"\nmsgstr ""\n\n{PAGES}msgstr{forms}\n\nmsgid "b"\nmsgstr ""\n'
    expected = content
    for name in "ab":
        expected = expected.replace(f'msgid "{name}"\nmsgstr ""', f'#, fuzzy\nmsgid "{name}"\nmsgstr "¡{name}"')
    assert through(tmp_path, "a.po", content) == expected
    assert told.messages[0] == "filled 2 of 3 entries and marked them fuzzy"
    assert "a.po:9: " in told.messages[2] and problem in told.messages[2]


@pytest.mark.parametrize(
    ("formula", "singular"),
    [
        ("nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5;", {1}),
        ("nplurals=1; plural=0;", set()),
        ("nplurals=2; plural=n>1;", {0}),
        ("nplurals=2; plural=__import__('os');", {0}),
        ("nplurals=2; plural=n/0;", {0}),
    ],
)
def test_the_form_for_one_gets_the_singular(tmp_path: Path, formula: str, singular: set[int]) -> None:
    number = int(formula[9])
    header = HEADER.replace("nplurals=2; plural=n != 1;", formula)
    forms = "".join(f'msgstr[{form}] ""\n' for form in range(number))
    after = through(tmp_path, "a.po", f"{header}\n{PAGES}{forms}")
    for form in range(number):
        assert f'msgstr[{form}] "¡%d page{"" if form in singular else "s"}"' in after


def test_a_form_for_more_numbers_than_one_needs_the_number(tmp_path: Path) -> None:
    hours = 'msgid "an hour"\nmsgid_plural "%d hours"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    assert 'msgstr[0] "¡an hour"\nmsgstr[1] "¡%d hours"' in through(tmp_path, "a.po", f"{HEADER}\n{hours}")
    russian = through(tmp_path, "b.po", f"{RUSSIAN}\n{hours}")
    assert 'msgstr[0] "¡%d hours"' in russian, "21 hours take the same form"


def test_how_an_entry_is_written_stays(tmp_path: Path) -> None:
    content = f'{HEADER}\n  msgid   "a"  \n\tmsgstr  ""\t\n  ""\t\n\nmsgid\t"b"\nmsgstr\t""\n'
    expected = content.replace('  msgid   "a"  \n\tmsgstr  ""\t\n  ""', '#, fuzzy\n  msgid   "a"  \n\tmsgstr  "¡a"')
    assert through(tmp_path, "a.po", content) == expected.replace(
        'msgid\t"b"\nmsgstr\t""', '#, fuzzy\nmsgid\t"b"\nmsgstr\t"¡b"'
    )


@pytest.mark.parametrize(
    ("language", "fits"),
    [("de", True), ("de_AT", True), ("", True), ("LANGUAGE", True), ("en", True), ("fr", False), ("pt_BR", False)],
)
def test_a_catalog_of_another_language_is_refused(tmp_path: Path, language: str, fits: bool) -> None:
    content = HEADER.replace('"Content', f'"Language: {language}\\n"\n"Content', 1) + '\nmsgid "a"\nmsgstr ""\n'
    if fits:
        assert 'msgstr "¡a"' in through(tmp_path, "a.po", content)
    else:
        with pytest.raises(
            CorpusError, match=f"a.po: the header says Language: {language}, and the translation is into de"
        ):
            through(tmp_path, "a.po", content)


def test_a_template_is_a_catalog(tmp_path: Path) -> None:
    content = f'{HEADER}\n#: a.py:1\nmsgid "a"\nmsgstr ""\n'
    assert through(tmp_path, "a.pot", content) == content.replace(
        'msgid "a"\nmsgstr ""', '#, fuzzy\nmsgid "a"\nmsgstr "¡a"'
    )


@pytest.mark.parametrize("ending", ["ass", "xml", "yaml", "sdlxliff", "rst", "doc", "TXT.bak", "de"])
def test_unknown_files_are_refused_and_not_touched(tmp_path: Path, ending: str) -> None:
    name = f"a.{ending}"
    (tmp_path / name).write_text("1\n00:00:01,000 --> 00:00:02,000\nSave\n")
    with pytest.raises(RecipeError, match=r"files that end in \.\w+ aren't supported; supported: \.txt, \.po, .*--as"):
        translate_document(Marking(), EN_DE, str(tmp_path / name), tmp_path / "out")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_what_a_file_is_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "a.bak").write_text(f'{HEADER}\nmsgid "a"\nmsgstr ""\n')
    translate_document(Marking(), EN_DE, str(tmp_path / "a.bak"), tmp_path / "out", kind="po")  # type: ignore[arg-type]
    assert 'msgstr "¡a"' in (tmp_path / "out").read_text(encoding="utf-8")
    with pytest.raises(RecipeError, match="unknown document format 'pox'; did you mean 'po'"):
        format_of("a.bak", "en", "pox")
    assert [format_of(name, "en") for name in ("-", "README", "news.en", "news.eng_Latn", "A.TXT", "a.PO")] == [
        "text", "text", "text", "text", "text", "po",
    ]  # fmt: skip
    assert [format_of(name, "ar") for name in ("app.arb", "news.ar", "news.ara")] == ["json", "text", "text"]


@pytest.mark.parametrize("content", [
    b"hello\rworld\r\n\rabc\r", b"\r", b"a\r\r\n\n\r\nb\rc", "\ufeffa\rb\n".encode(), b"a\r" * 2100 + b"b",
])  # fmt: skip
def test_lines_of_text_may_end_with_a_carriage_return_alone(tmp_path: Path, content: bytes) -> None:
    expected = re.sub(r"(?<![\w])(?=\w)", "¡", content.decode())
    assert through(tmp_path, "a.txt", content) == expected


def test_a_full_catalog_comes_back_as_it_is(tmp_path: Path) -> None:
    content = f'{HEADER}\nmsgid "a"\nmsgstr "b"\n\n\n# end, without a line end'
    assert through(tmp_path, "a.po", content) == content
    latin = content.replace("UTF-8", "ISO-8859-1").replace('"b"', '"ü"').encode("latin-1")
    (tmp_path / "l.po").write_bytes(latin)
    translate_document(Marking(), EN_DE, str(tmp_path / "l.po"), tmp_path / "l-out.po")  # type: ignore[arg-type]
    assert (tmp_path / "l-out.po").read_bytes() == latin


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('msgid "a"\nmsgstr ""\n', r"a.po:1: the catalog has no header"),
        (HEADER.replace("UTF-8", "CHARSET"), r"a.po:3: the header's charset 'CHARSET' is none"),
        (HEADER + '\nmsgid "a\nmsgstr ""\n', r"a.po:6: not a line of a catalog: 'msgid \"a'"),
        (HEADER.encode() + b'\nmsgid "\xff"\nmsgstr ""\n', r"a.po:6: not valid utf-8"),
        ('# charset=UTF-8\nmsgid "a"\nmsgstr ""\n', r"a.po:1: the catalog has no header"),
    ],
    ids=["no header", "charset", "quote", "bytes", "no header entry"],
)  # fmt: skip
def test_broken_catalogs_are_told_and_nothing_is_written(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        through(tmp_path, "a.po", content)
    assert [path.name for path in tmp_path.iterdir()] == ["a.po"]


@pytest.mark.parametrize(("charset", "comment"), [("ascii", "x"), ("iso8859-2", "ł")])
def test_a_catalog_whose_charset_lacks_a_translation_becomes_utf8(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, charset: str, comment: str
) -> None:
    content = HEADER + f'\n# {comment}, charset=y\nmsgid "a"\nmsgstr ""\n'
    expected = through(tmp_path, "a.po", content)
    assert '"¡a"' in expected and not caplog.messages
    assert through(tmp_path, "a.po", content.replace("UTF-8", charset).encode(charset)) == expected
    assert caplog.messages == [f"{tmp_path / 'a.po'}: {charset} has no '¡'; written in UTF-8, with charset=UTF-8"]


@pytest.mark.parametrize("written", [r"a\a b", r"\033[1mbold\033[0m", r"a \x1b[1m b"])
def test_control_characters_of_messages_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture, written: str) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    content = f'{HEADER}\nmsgid "{written}"\nmsgstr ""\n\nmsgid "\\101 \\d \\\\a"\nmsgstr ""\n'
    filled = 'msgid "\\101 \\d \\\\a"\nmsgstr ""\n'
    expected = content.replace(filled, "#, fuzzy\n" + filled.replace('""', r'"¡A \\d \\a"'))
    assert through(tmp_path, "a.po", content) == expected
    assert caplog.messages[-1].endswith("it has control characters, which its translation would lose")
    escaped = json.dumps({"a": "\x1b[1m a"})
    assert through(tmp_path, "a.json", escaped) == escaped


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=20)


@given(st.lists(TEXTS.filter(lambda text: text.strip() and "%" not in text), min_size=1, max_size=5, unique=True))
def test_every_message_is_read_as_polib_reads_it(messages: list[str]) -> None:
    catalog = polib.POFile()
    catalog.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    for message in messages:
        catalog.append(polib.POEntry(msgid=message, msgstr=""))
    found = read_catalog("a.po", str(catalog).encode())
    assert [entry.msgid for entry in found.entries[1:]] == messages
    assert found.encoded() == str(catalog).encode()


def test_placeholders() -> None:
    text = "%(name)s has %d of %5.2f%% in <b>{place}</b> &amp; ${home} {{ user }} 5 < 6"
    assert sorted(verbatim(text)) == sorted(
        ["%(name)s", "%d", "%5.2f", "%%", "<b>", "{place}", "</b>", "&amp;", "${home}", "{{ user }}"]
    )
    assert kept("%s and %d", "%d und %s") and not kept("%s", "%s %s") and not kept("100%", "100")
    assert lost("<b>%s</b>", "%s <i>") == "without </b>, <b>; with an extra <i>"


def test_tsv_gets_a_column(tmp_path: Path) -> None:
    assert through(tmp_path, "a.tsv", "one\r\n\nthree") == "one\t¡one\r\n\t\nthree\t¡three"
    assert through(tmp_path, "a.tsv", "1\tone\n2\t\n", column="2") == "1\tone\t¡one\n2\t\t\n"
    blank = "id\ttext\n\n1\tone\r\n  \r\n2\ttwo\n\n"
    expected = "id\ttext\ttranslation\n\n1\tone\t¡one\r\n  \r\n2\ttwo\t¡two\n\n"
    assert through(tmp_path, "a.tsv", blank, column="text") == expected
    with pytest.raises(CorpusError, match=r"a.tsv:2: 1 columns, and column 2 is to be translated"):
        through(tmp_path, "a.tsv", "1\tone\n2\n", column="2")
    header = "\ufeffid\ttext\tnote"
    named = f"{header}\ttranslation\n1\tone\t\t¡one\n"
    assert through(tmp_path, "a.tsv", f"{header}\n1\tone\t\n", column="text") == named
    long = f"{header}\n" + "1\tone\t\n" * 4500
    assert through(tmp_path, "a.tsv", long, column="text").count("¡one\n") == 4500, "one header, many windows"


def test_the_column_of_a_tsv_is_not_guessed(tmp_path: Path) -> None:
    content = "id\ttext\ttext\n1\tone\t\n"
    listed = r"\(first line: 1 'id', 2 'text', 3 'text'\)"
    for column, message in (
        (None, f"a.tsv has 3 columns {listed}: say with --column which one"),
        ("name", f"--column name: neither a number from 1 nor the name of one column of .*a.tsv {listed}"),
        ("text", "--column text: neither"),
        ("0", "--column 0: neither"),
        ("5", f"--column 5: .*a.tsv has 3 columns {listed}"),
    ):
        with pytest.raises(RecipeError, match=message):
            through(tmp_path, "a.tsv", content, column=column)
        assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
    with pytest.raises(CorpusError, match=r"a.tsv:2: 2 columns, and the first line has one"):
        through(tmp_path, "a.tsv", "one\ntwo\t2\n")
    assert not through(tmp_path, "a.tsv", "")


def test_jsonl_gets_a_field(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "one\ntwo"}, {"id": 2, "text": ""}]
    content = "\n\n".join(json.dumps(row) for row in rows) + "\n"
    lines = through(tmp_path, "a.jsonl", content).split("\n")
    assert [json.loads(line) for line in lines if line] == [
        rows[0] | {"translation": "¡one\n¡two"}, rows[1] | {"translation": ""},
    ]  # fmt: skip
    assert len(lines) == 4 and json.loads(through(tmp_path, "b.jsonl", '{"t": "ü"}', column="t")) == {
        "t": "ü", "translation": "¡ü",
    }  # fmt: skip
    assert json.loads(through(tmp_path, "c.jsonl", '{"t": "a"}')) == {"t": "a", "translation": "¡a"}, "the only field"
    for bad, kind, message in (
        ('{"text": "a"}\n{"text"', CorpusError, r"a.jsonl:2: not JSON"),
        ('{"t": "a"}\n{"u": "a"}', CorpusError, r"a.jsonl:2: no text in the field 't' \(seen: 'u'\); name it with"),
        ('{"id": 1, "t": "a"}', RecipeError, r"has no field 'text' but 'id', 't': say with --column which one"),
        ("{}", RecipeError, r"has no field 'text' but none"),
        ('{"text": "a", "translation": "b"}', CorpusError, r"the field 'translation' is there already"),
        ("[1]", CorpusError, r"a.jsonl:1: a line must be a JSON object, this is a list"),
    ):
        with pytest.raises(kind, match=message):
            through(tmp_path, "a.jsonl", bad)


def test_options_of_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.po").write_text(HEADER)
    (tmp_path / "a.txt").write_text("a\n")
    for name, options, message in (
        ("a.po", {"scores": True}, "--scores and --nbest are for plain text, not for po files"),
        ("a.po", {"column": "1"}, "--column is for tsv, jsonl and csv files"),
        ("a.txt", {"fuzzy": True}, "--fuzzy is for po files"),
    ):
        with pytest.raises(RecipeError, match=message):
            translate_document(Marking(), EN_DE, str(tmp_path / name), None, Options(**options))  # type: ignore[arg-type]


def test_the_model_translates_a_catalog(exported: Path, tmp_path: Path) -> None:
    import neuronspec as ns

    content = f'{HEADER}\nmsgid "w1 w2 w3"\nmsgstr ""\n'
    translator = ns.Translator(exported / "en-de")
    assert 'msgstr "w3 w2 w1"' in through(tmp_path, "a.po", content, translator)


MARK = "\ufeff"
MARKED = {
    "a.txt": "one\ntwo\n",
    "a.tsv": "one\ntwo\n",
    "a.jsonl": '{"text": "one"}\n',
    "a.po": HEADER + '\nmsgid "one"\nmsgstr ""\n',
    "a.xlf": '<?xml version="1.0"?>\n<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" '
    'trgLang="de"><file id="f"><unit id="u"><segment><source>one</source></segment></unit></file></xliff>\n',
    "a.tmx": '<tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>one</seg></tuv></tu></body></tmx>\n',
}


class MarkingLines(Marking):
    """As the translators of plain text."""

    def translate(self, lines: list[str], direction: Direction) -> Any:
        from neuronspec.translation.engine import Translations

        assert not any(MARK in line for line in lines), "a byte order mark is no text"
        return Translations(self(lines, ""), nbest=[[(line, -1.0)] for line in self(lines, "")])


@pytest.mark.parametrize("name", MARKED)
def test_a_byte_order_mark_is_no_text_and_stays(tmp_path: Path, name: str) -> None:
    plain = through(tmp_path, name, MARKED[name], MarkingLines())
    assert "¡one" in plain
    assert through(tmp_path, name, MARK + MARKED[name], MarkingLines()) == MARK + plain


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a.jsonl", "a.po"])
def test_utf_16_is_refused_where_it_cannot_be_read(tmp_path: Path, name: str, encoding: str) -> None:
    with pytest.raises(CorpusError, match=rf"{name}: not UTF-8 but UTF-16 or UTF-32, or no text; convert it"):
        through(tmp_path, name, MARKED[name].encode(encoding), MarkingLines())
    assert not (tmp_path / f"out-{name}").exists()


@pytest.mark.parametrize(
    "charset",
    ["utf-7", "base64", "rot13", "hex", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf-16", "hz",
     "cp037", "undefined", "zlib", "quopri", "iso2022_jp", "x" * 5000, "\0"],
)  # fmt: skip
def test_charsets_that_are_none_of_catalogs_are_refused(charset: str) -> None:
    raw = HEADER.replace("UTF-8", charset).encode() + b'\nmsgid "a"\nmsgstr ""\n'
    with pytest.raises(CorpusError, match=r"a.po:\d: the header's charset .*write charset=UTF-8"):
        read_catalog("a.po", raw)


@pytest.mark.parametrize(
    "charset", ["UTF-8", "utf-8-sig", "ISO-8859-1", "KOI8-R", "EUC-JP", "Shift_JIS", "GB18030", "ascii"]
)
def test_charsets_of_catalogs_keep_their_bytes(charset: str) -> None:
    raw = HEADER.replace("UTF-8", charset).encode() + b'\nmsgid "a\\n"\nmsgstr ""\n'
    assert read_catalog("a.po", raw).encoded() == raw


def test_a_header_is_found_after_any_comment(tmp_path: Path) -> None:
    comment = "# a licence, charset=none of it\n" * 2000
    plain = through(tmp_path, "a.po", MARKED["a.po"])
    assert through(tmp_path, "a.po", comment + MARKED["a.po"]) == comment + plain
    with pytest.raises(CorpusError, match="the header names no charset"):
        read_catalog("a.po", (comment + 'msgid ""\nmsgstr ""\n\nmsgid "charset=UTF-8"\nmsgstr ""\n').encode())
    with pytest.raises(CorpusError, match=r"a.po:\d+: not a line of a catalog"):
        read_catalog("a.po", (HEADER + f'\nmsgid "a"\nmsgid_plural "b"\nmsgstr[{"9" * 5000}] ""\n').encode())


@pytest.mark.parametrize(
    ("line", "extended"),
    [
        ('{"n": 1e400, "text": "one"}', '{"n": 1e400, "text": "one", "translation": "¡one"}'),
        ('{"a":1,"a":2,"text":"one"}', '{"a":1,"a":2,"text":"one","translation":"¡one"}'),
        ('{"a": "\\ud800", "text": "one"}', '{"a": "\\ud800", "text": "one", "translation": "¡one"}'),
        ('{ "text": "\\u00fc", "x": [1.50, -0] }', '{ "text": "\\u00fc", "x": [1.50, -0], "translation": "¡ü" }'),
        ('{"text": "one"} \t', '{"text": "one", "translation": "¡one"} \t'),
        ('{"n": %s, "text": "one"}' % ("9" * 5000), '{"n": %s, "text": "one", "translation": "¡one"}' % ("9" * 5000)),
    ],
)
def test_rows_of_jsonl_are_extended_and_not_written_anew(tmp_path: Path, line: str, extended: str) -> None:
    assert through(tmp_path, "a.jsonl", f"{line}\r\n") == f"{extended}\r\n"


def test_rows_of_jsonl_without_one_text_are_listed_and_stay(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    content = '{"text": "one"}\n{"text": "one", "text": "two"}\n{"text": "\\ud800"}\n'
    found = through(tmp_path, "a.jsonl", content)
    assert found == content.replace('"one"}', '"one", "translation": "¡one"}', 1)
    assert "filled 1 of 3 rows" in told.text
    assert "a.jsonl:2: it has the field 'text' more than once" in told.text
    assert "a.jsonl:3: the field 'text' has half of a surrogate pair" in told.text
    for bad, message in (("[" * 100_000, "nested too deeply"), ('{"text": 1.5}', "no text in the field 'text'")):
        with pytest.raises(CorpusError, match=message):
            through(tmp_path, "a.jsonl", bad)


def test_misuse_is_told_before_a_model_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    for path, out, options, error, message in (
        (file, tmp_path, Options(), PathError, "--out .* is a folder; .*a.txt is a file, so name a file"),
        (tmp_path / "b.txt", None, Options(), PathError, "b.txt can't be read: No such file"),
        (file, None, Options(column="2"), RecipeError, "--column is for tsv, jsonl and csv files"),
        (file, None, Options(fuzzy=True), RecipeError, "--fuzzy is for po files"),
        (tmp_path / "b.foo", None, Options(), PathError, "b.foo can't be read"),
    ):
        with pytest.raises(error, match=message) as refused:
            check_file(str(path), out, "en", None, options)
        assert refused.value.exit_code == 2
    check_file(str(file), file, "en", None, Options())


def test_flags_of_an_obsolete_entry_are_not_those_of_the_next(tmp_path: Path) -> None:
    obsolete = '#, fuzzy\n#~ msgid "a"\n#~ msgstr "b"\n\n'
    found = through(tmp_path, "a.po", HEADER + "\n" + obsolete + 'msgid "open"\nmsgstr ""\n')
    assert found.endswith(obsolete + '#, fuzzy\nmsgid "open"\nmsgstr "¡open"\n')


def test_strings_side_by_side_are_one(tmp_path: Path) -> None:
    entry = 'msgid "say \\"" "a\\\\" "b"\nmsgstr "" ""\n'
    found = through(tmp_path, "a.po", HEADER + "\n" + entry)
    assert found.endswith(entry.replace('msgstr "" ""', r'msgstr "¡say \"a\\b"').replace("msgid", "#, fuzzy\nmsgid"))


def test_a_pipe_gets_the_translation_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        translate_document(Marking(), EN_DE, str(tmp_path / "a.txt"), tmp_path / "pipe")  # type: ignore[arg-type]
        assert read.result(10) == "¡one\n"
    assert (tmp_path / "pipe").is_fifo()
