"""Messages with markup: what counts as such, and that tags, placeholders and entities come out as they were."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.marking import Marking

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.accelerators import Label
from neuronspec.deploy.documents.document import translate_document
from neuronspec.deploy.documents.messages import is_marked_up, translate_messages
from neuronspec.translation.alignment import Aligned, units

EN_DE = Direction("en", "de")


class Reversing(Marking):
    """Gives the words in reverse."""

    def __call__(self, texts: list[str], direction: str) -> list[str]:
        return [" ".join(reversed(text.split())) for text in texts]

    def align(self, texts: list[str], translations: list[str], direction: str) -> list[Aligned]:
        found = []
        for text, translation in zip(texts, translations, strict=True):
            source, target = units(text), units(translation)
            same = [[text[a:b] == translation[c:d] for a, b in source] for c, d in target]
            weights = np.array(same, dtype=float).reshape(len(target), len(source))
            found.append(Aligned(source, target, weights / np.maximum(1, weights.sum(axis=1, keepdims=True))))
        return found


class Same(Reversing):
    def __call__(self, texts: list[str], direction: str) -> list[str]:
        return list(texts)


def translated(text: str, translator: Any = None) -> tuple[str, str]:
    return translate_messages(translator or Reversing(), EN_DE, [text])[0]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Click <b>here</b>", True),
        ("Click <a href='%(url)s'>here</a> or <br> there", True),
        ("one<br/>two", True),
        ("<0>Read</0> the <link>terms</link>", True),
        ("Copy <file> to <folder>", False),
        ("if a < b and b > c", False),
        ("If you use the <meta name='referrer'> tag or <a rel='noreferrer' …> links", False),
        ("<b>bold", False),
        ("bold</b>", False),
        ("<b><i>both</b></i>", False),
        ("5 <6 and 7> 3", False),
        ("a <username@example.org>", False),
        ("&lt;b&gt;no tags&lt;/b&gt;", False),
        ("<b>x</b> " * 300, False),
    ],
)
def test_what_is_markup(text: str, is_one: bool) -> None:
    assert is_marked_up(text) == is_one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Click <b>here</b> now", "now <b>here</b> Click"),
        ('Read <a href="%(url)s" title="a > b">our terms</a>', '<a href="%(url)s" title="a > b">terms our</a> Read'),
        ("<b>%(name)s</b> saved", "saved <b>%(name)s</b>"),
        ("<0>Read</0> the <link>terms</link>", "<link>terms</link> the <0>Read</0>"),
        ("\n  Name: <code>%(name)s</code> here\n", "\n  here Name: <code>%(name)s</code>\n"),
        ("<b>Terms</b> &amp; conditions &copy; us", "us &copy; conditions &amp; <b>Terms</b>"),
        ("<b>Terms</b> & conditions", "conditions & <b>Terms</b>"),
        ("one two<br>three four<br />", "two one<br>four three<br />"),
        ("one\ntwo <b>three</b>\n\nfour five", "<b>three</b> two one\n\nfive four"),
        ("<p>one two</p> <ul><li>three four</li></ul>", "<p>two one</p> <ul><li>four three</li></ul>"),
        ("Copy <file> to", "to <file> Copy"),
    ],
)
def test_tags_placeholders_and_entities_survive(text: str, expected: str) -> None:
    assert translated(text) == (expected, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_File", "_File"),
        ("Save &As...", "&As... Save"),
        ("&Save all", "all &Save"),
        ("_Copy %s to", "to %s _Copy"),
        ("Use _id", "_id Use"),
        ("AT&T here", "here AT&T"),
        ("_Save <b>all</b>", "<b>all</b> _Save"),
        ("%(_name)s is saved", "saved is %(_name)s"),
        ("_One &Two", "&Two _One"),
    ],
)
def test_accelerators(text: str, expected: str) -> None:
    assert translated(text) == (expected, "")


def test_accelerators_go_to_the_same_letter_or_the_first_or_after_the_label() -> None:
    assert [Label.of(text) for text in ("_private name", "A sentence about the &file in many words", "B_old")] == [
        None
    ] * 3
    label = Label.of("Save &As…")
    assert label is not None and label.text == "Save As…"
    expected = {
        "Speichern als…": "Speichern &als…",
        "Enregistrer sous…": "&Enregistrer sous…",
        "L'app sous": "&L'app sous",
        "%(a)s sichern": "%(a)s &sichern",
        "別名で保存…": "別名で保存(&A)…",
        "다른 이름으로 저장": "다른 이름으로 저장(&A)",
        "Сохранить как": "&Сохранить как",
        "%d": None,
        "R&D": None,
    }
    assert {text: label.marked(text) for text in expected} == expected

    class Garbling(Marking):
        def __call__(self, texts: list[str], direction: str) -> list[str]:
            return ["&e &e" for _ in texts]

    assert translated("&Save", Garbling()) == ("", "the translation has no place for the accelerator &")


def test_what_does_not_survive_is_told() -> None:
    assert translated("10&nbsp;km <b>far</b>")[1] == "the translation is without &nbsp;"
    careless = "careless %(name)s <b>x</b>"
    assert translated(careless, Marking()) == ("", "the translation is without %(name)s")

    class Inventing(Reversing):
        def __call__(self, texts: list[str], direction: str) -> list[str]:
            return [text.replace("here", "<i>here</i>") for text in texts]

    assert translated("Click <b>here</b>", Inventing()) == ("", "the translation is with an extra </i>, <i>")
    icu = "it is an ICU message, whose plural or select forms a person must write"
    assert translated("{count, plural, one {# file} other {# <b>files</b>}} left") == ("", icu)
    assert translated("%1 of {n, number}", Same()) == ("%1 of {n, number}", "")
    assert translated("  ") == ("", "it has no text")


TAG = re.compile(r"</?\w+/?>")
PIECES = st.lists(
    st.sampled_from(
        ["one", " two ", "three", " ", "<b>", "</b>", "<p>", "</p>", "<0>", "</0>", "<br>", "\n\n", "&amp;"]
    )
)


@given(PIECES)
def test_markup_is_never_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    found, problem = translated(text)
    if not problem and is_marked_up(text):
        assert sorted(TAG.findall(found)) == sorted(TAG.findall(text))
        assert sorted(TAG.sub(" ", found).split()) == sorted(TAG.sub(" ", text).split())
        assert is_marked_up(found)
    same, problem = translated(text, Same())
    assert problem or "".join(same.split()) == "".join(text.split())


def test_a_catalog_with_markup(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="neuronspec")
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    header += '"Plural-Forms: nplurals=2; plural=n != 1;\\n"\n\n'
    (tmp_path / "a.po").write_text(
        header
        + 'msgid "Click <a href=\\"%(url)s\\">here</a> now"\nmsgstr ""\n\n'
        + 'msgid "10&nbsp;km <b>far</b>"\nmsgstr ""\n\n'
        + 'msgid "<b>%(n)d</b> file"\nmsgid_plural "<b>%(n)d</b> files"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    )
    translate_document(Reversing(), EN_DE, str(tmp_path / "a.po"), tmp_path / "out.po")  # type: ignore[arg-type]
    first, second, third = polib.pofile(str(tmp_path / "out.po"))
    assert (first.msgstr, first.fuzzy) == ('now <a href="%(url)s">here</a> Click', True)
    assert (second.msgstr, second.fuzzy) == ("", False)
    assert third.msgstr_plural == {0: "file <b>%(n)d</b>", 1: "files <b>%(n)d</b>"}
    assert caplog.messages[-1].endswith("a.po:9: the translation is without &nbsp;")
