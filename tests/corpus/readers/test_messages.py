"""Placeholders, tags, accelerators and default texts of user interface messages."""

from __future__ import annotations

import pytest

from neuronspec.corpus.readers.messages import (
    default_text,
    is_icu,
    looks_like_key,
    placeholders,
    same_markup,
    strip_accelerators,
    tags,
    verbatim,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%(name)s has %d of %s", ["%(name)s", "%d", "%s"]),
        ("%(size).1f and %2$s, %5.2f", ["%(size).1f", "%2$s", "%5.2f"]),
        ("${name}, {0}, {}, {name}, {x:>8}, $user", ["${name}", "{0}", "{}", "{name}", "{x:>8}", "$user"]),
        ("100% sure, 50%, 20 % de, costs $5, {not a name}", []),
        ("%%s", []),
    ],
)
def test_placeholders(text: str, expected: list[str]) -> None:
    assert sorted(placeholders(text).elements()) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "maybe"),
    [
        ("%(name)s has %d of %s in ${home}, {0}, {name} and {x:>8} for $user", []),
        ("%1$s, %-10s, %5.2f, %*d, %@, {{ user }}, {% url 'x' %}, {a-b}", []),
        ("100% sure, 20 % de, 50% off", ["%", "%", "%"]),
        ("% d of % 5i", ["% 5i", "% d"]),
        ("%{name}, %1 of %L2, %n, %HOME%", ["%1", "%HOME%", "%L2", "%n", "%{name}"]),
        ("Hello :name, see @user", [":name", "@user"]),
        ("at 10:30 on http://a.b: me@example.org, a:b", []),
        ("你好:name先生", [":name"]),
        (
            "{n, number, ::currency/USD} on { day, date, short }",
            ["{ day, date, short }", "{n, number, ::currency/USD}"],
        ),
        ("%dpx, 100%% and 5 %", ["%", "%%", "%d"]),
        ("{$name} or {à}", ["{$name}", "{à}"]),
        ('<a href="x">y</a> &nbsp; &#160;', ["&#160;", "&nbsp;", "</a>", '<a href="x">']),
    ],
)
def test_translations_are_held_to_more_than_what_surely_is_a_placeholder(text: str, maybe: list[str]) -> None:
    found, sure = verbatim(text), placeholders(text)
    if text.startswith("{$"):
        sure.pop("$name")  # within what may be one
    if text.startswith("%{"):
        sure.pop("{name}")
    assert sorted((found - sure).elements()) == maybe
    assert found >= sure


def test_messages_of_icu() -> None:
    assert is_icu("{count, plural, one {# file} other {# files}}") and is_icu("In { sex , select, other {x}}")
    assert not is_icu("{count} files, plural") and not is_icu("{n, number}")


def test_tags_by_name_whatever_their_attributes() -> None:
    assert tags('<a href="x">y</a><br/> 3 < 4 > 2') == {"a": 1, "/a": 1, "br": 1}
    assert same_markup('<a href="en">%s</a>', '%s <A href="de">x</A>'.replace("%s <A", "<A").replace("x", "%s"))
    assert not same_markup("<b>x</b>", "x")
    assert not same_markup("%s %s", "%s")


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ('Default: "Save"', "Save"),
        ('a note\nDefault: "Save \\"all\\""\nanother note', 'Save "all"'),
        ('Default: "one\ntwo"\nnote', "one\ntwo"),
        ('Default: ""\n"<p>"\n"  text</p>"\nnote', "\n<p>\n  text</p>"),
        ('Default: "line\\nbreak"', "line\nbreak"),
        ("Default: bare text", "bare text"),
        ('Default: ""', None),
        ("In english the default is:\n${x}", None),
        ("", None),
    ],
)
def test_default_text(comment: str, expected: str | None) -> None:
    assert default_text(comment) == expected


def test_keys() -> None:
    assert looks_like_key("label_save_changes") and looks_like_key("help_2")
    assert not any(map(looks_like_key, ["Save", "Save changes", "_", "a_ b", "robots.txt"]))


def test_accelerators_are_taken_from_both_sides() -> None:
    assert strip_accelerators("&File", {"de": "&Datei", "ru": "Файл", "zh": "文件(&F)"}) == (
        "File",
        {"de": "Datei", "zh": "文件"},
    )
    assert strip_accelerators("E_xit", {"de": "_Beenden"}) == ("E_xit", {})
    assert strip_accelerators("_Open", {"fr": "_Ouvrir"}) == ("Open", {"fr": "Ouvrir"})
    assert strip_accelerators("Sav&e", {"de": "Sp&eichern"}) == ("Save", {"de": "Speichern"})


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("R&D", "F&E"),
        ("&copy; us", "&copy; wir"),
        ("Q & A", "F & A"),
        ("&one &two", "&eins"),
        ("_blank", "_blank"),
        ("some_name", "ein_name"),
        ("_private_name", "_privater_name"),
        ('<a target="_top">x</a>', '<a target="_top">y</a>'),
        ("<b>&File</b>", "<b>&Datei</b>"),
        ("&File", "Datei"),
    ],
)
def test_what_may_be_something_else_stays(source: str, translation: str) -> None:
    assert strip_accelerators(source, {"de": translation}) == (source, {})
