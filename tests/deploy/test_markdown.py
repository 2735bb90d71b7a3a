"""Markdown: text is translated where it is written; markup, code and addresses stay."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.helpers.documents import Fixed, through

from neuronspec.core.errors import CorpusError

PAGE = """---
title: stay
---

title here
==========

## heading *two* ##

good **day**, see [the docs](http://x.org/a_b "stay") and `code here`,
which are snake_case, 2 * 3, &copy; <b>yes</b>
- an item that
  goes on
  1. [ ] task ![a cat](cat.png)

> a quote\x20\x20
> with break
>> and more

| a b | c |
|-----|:-:|
| x *y* |  |
| | z \\| k |

```
stay
```

    stay

<div>stay</div>

[ref]: http://y.org "stay"
use [ref], [ref][] and <http://z.org>, https://foo.bar/stay and note[^1].

[^1]: the note

::: tip
do it
:::
"""


def test_a_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    expected = PAGE
    for before, after in (
        ("title here", "TITLE HERE"), ("heading *two*", "HEADING *TWO*"),
        (
            "good **day**, see [the docs](http://x.org/a_b \"stay\") and `code here`,\n"
            "which are snake_case, 2 * 3, &copy; <b>yes",
            "GOOD **DAY**, SEE [THE DOCS](http://x.org/a_b \"stay\") AND\n"
            "`code here`, WHICH ARE SNAKE_CASE, 2 * 3, © <b>YES",
        ),
        ("an item that\n  goes on", "AN ITEM THAT\n  GOES ON"), ("task ![a cat]", "TASK ![A CAT]"),
        ("a quote", "A QUOTE"),
        ("with break", "WITH BREAK"), ("and more", "AND MORE"), ("a b | c", "A B | C"), ("x *y*", "X *Y*"),
        ("use [ref], [ref][] and ", "USE [REF][ref], [REF][ref] AND "), ("and note", "AND NOTE"),
        ("the note", "THE NOTE"),
        ("do it", "DO IT"), ("z \\| k", "Z \\| K"),
    ):  # fmt: skip
        assert before in expected
        expected = expected.replace(before, after)
    assert through(tmp_path, "a.md", PAGE) == expected
    assert caplog.messages == ["translated 16 of 16 texts"]
    assert through(tmp_path, "b.markdown", PAGE.replace("\n", "\r\n")) == expected.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("source", "translation", "expected"),
    [
        ("one two\n", "a *b* c_d _e_", "a \\*b\\* c_d \\_e\\_\n"),
        ("one two\n", "a `b` <c> &amp;", None),
        ("one two\n", "1. a", None),
        ("one two\n", "# a", None),
        ("one two\n", "- a", None),
        ("one two\n", "[a](b)", None),
        ("one\ntwo\n", "a 1. b", "a 1.\nb\n"),
        ("one\ntwo\n", "a - b", "a -\nb\n"),
        ("> one\n> two\n", "a b c d", "> a b\n> c d\n"),
        ("one\ntwo\n", "a", "a\n"),
        ("| one two |\n|---|\n", "a | b", "| a \\| b |\n|---|\n"),
        ("> - one\n>   two\n", "aaa b c", "> - aaa\n>   b c\n"),
        ("a \\* one \\[two\\]\n", "x", "a \\* one \\[two\\]\n"),
    ],
)
def test_no_translation_is_read_as_other_markup(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str, translation: str, expected: str | None
) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    found = through(tmp_path, "a.md", source, Fixed({"one two": translation}))
    assert found == (source if expected is None else expected)
    if expected is None:
        assert "a.md:1: the translation " in caplog.messages[-1]


@pytest.mark.parametrize("page", ["", "\n", "# \n", "```\nno end", "***", "<div>\n", "![](a.png)", "&nbsp;", "\ufeff"])
def test_pages_without_text(tmp_path: Path, page: str) -> None:
    assert through(tmp_path, "a.md", page) == page


def test_other_encodings_are_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"a.md:2: not valid UTF-8 \(byte 0xfc at column 1\)"):
        through(tmp_path, "a.md", b"one\n\xfc\n")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("see ![foo] here\n\n[foo]: a.png\n", "SEE ![FOO][foo] HERE\n\n[foo]: a.png\n"),
        ("![bar][]\n\n[bar]: a.png\n", "![BAR][bar]\n\n[bar]: a.png\n"),
        ("![bar][ref] ![x](y)\n\n[ref]: a.png\n", "![BAR][ref] ![X](y)\n\n[ref]: a.png\n"),
        ("| ![foo] |\n|---|\n\n[foo]: a.png\n", "| ![FOO][foo] |\n|---|\n\n[foo]: a.png\n"),
    ],
)
def test_images_keep_what_they_refer_to(tmp_path: Path, page: str, expected: str) -> None:
    assert through(tmp_path, "a.md", page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("![one *two*](a.png)", "![ONE *TWO*](a.png)"),
        ('word ![one `two` x](a.png "t") word', 'WORD ![ONE `two` X](a.png "t") WORD'),
        ("![see [one](b) two][ref]\n\n[ref]: a.png", "![SEE [ONE](b) TWO][ref]\n\n[ref]: a.png"),
        ("![one &amp; two](a.png)", "![ONE & TWO](a.png)"),
        ("![**one**][]\n\n[**one**]: a.png", "![**ONE**][**one**]\n\n[**one**]: a.png"),
        ("[![one *two*](a.png)](b)", "[![ONE *TWO*](a.png)](b)"),
        ("| ![one *two*](a.png) | c |\n|---|---|", "| ![ONE *TWO*](a.png) | C |\n|---|---|"),
        ("![`code`](a.png)", "![`code`](a.png)"),
    ],
)
def test_markup_in_what_an_image_says(tmp_path: Path, page: str, expected: str) -> None:
    assert through(tmp_path, "a.md", page) == expected


@pytest.mark.parametrize(
    ("page", "translation", "told"),
    [
        ("word\n\n![one\n*two*](a.png)", "", "3: what the image says is in several lines"),
        (
            "| c |\n|---|\n| ![one \\| two](a.png) |",
            "",
            "3: what the image says can't be found in the line",
        ),
        ("![one ~~two~~](a.png)", "one ~two~~", "1: the translation would read as other Markdown"),
    ],
)
def test_what_an_image_says_and_stays_is_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, page: str, translation: str, told: str
) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    engine = Fixed({"word": "WORD", "c": "C", "one two": translation})
    found = through(tmp_path, "a.md", page, engine)
    assert found == page.replace("word", "WORD").replace("| c", "| C")
    assert caplog.messages[-1].endswith(f"a.md:{told}")


def test_what_a_translation_of_an_image_has_is_text(tmp_path: Path) -> None:
    engine = Fixed({"one": "[o] *n* | e\\"})
    assert through(tmp_path, "a.md", "![one](a.png)", engine) == "![\\[o\\] \\*n\\* \\| e\\\\](a.png)"


def test_what_programs_read_in_braces_stays_as_it_is_written(tmp_path: Path) -> None:
    page = "see {% include _foo.html %} or {{ a\\_b }}\n"
    translations = {"see {% include _foo.html %} or {{ a_b }}": "_x {{ a_b }} {% include _foo.html %}"}
    expected = "\\_x {{ a\\_b }} {% include _foo.html %}\n"
    assert through(tmp_path, "a.md", page, Fixed(translations)) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("a[^1] b[^2]\n\n[^1]: https://x.org/a\n[^2]: word\n", "A[^1] B[^2]\n\n[^1]: https://x.org/a\n[^2]: WORD\n"),
        ("[^1]: one\n  goes on\n[^2]: two\n[^3]: three\n", "[^1]: ONE\n  GOES ON\n[^2]: TWO\n[^3]: THREE\n"),
        ("a [r]\n\n[^1]: one\n\n[r]: http://x.org\n", "A [R][r]\n\n[^1]: ONE\n\n[r]: http://x.org\n"),
        ("> [!NOTE]\r\n> do it\r\n> now\r\n", "> [!NOTE]\r\n> DO IT\r\n> NOW\r\n"),
        ("- a\n\n  > [!TIP]\n  > do\n", "- A\n\n  > [!TIP]\n  > DO\n"),
        ("term\n: meaning of it\n: another\n", "TERM\n: MEANING OF IT\n: ANOTHER\n"),
        ("a\nb\n{: .no_toc }\n", "A\nB\n{: .no_toc }\n"),
        ("a\n:smile b\n", "A :smile\nB\n"),
        ("*[HTML]: do\n\na\n*[b]: two\n", "*[HTML]: do\n\nA\n*[b]: two\n"),
    ],
)  # fmt: skip
def test_lines_of_extensions_stay_lines(tmp_path: Path, page: str, expected: str) -> None:
    translations = {text: text.upper().replace(":SMILE", ":smile") for text in (
        "a b", "a r", "one goes on", "one", "two", "three", "word", "do it now", "do", "a", "term", "meaning of it",
        ": meaning of it", ": another", "a :smile b",
    )}  # fmt: skip
    assert through(tmp_path, "a.md", page, Fixed(translations)) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (r"| x\|y | x |", r"| X\|Y | X |"),
        (r"| \| a | b \| |", r"| \| A | B \| |"),
        (r"a \| `b\|c` d | **e\|f** g", r"A \| `b\|c` D | **E\|F** G"),
        (r"| [d\|e](f\|g) | a |", r"| [D\|E](f\|g) | A |"),
        (r"| | a |", r"| | A |"),
        (r"| ab | b |", r"| AB | B |"),
    ],
)
def test_bars_in_cells(tmp_path: Path, row: str, expected: str) -> None:
    table = "| h | h |\n|---|---|\n{}\n| c | c |\n"
    after = table.replace(" h |", " H |").replace(" c |", " C |")
    assert through(tmp_path, "a.md", table.format(row)) == after.format(expected)
    in_item = "- | h | h |\n  |---|---|\n  {}\n"
    assert through(tmp_path, "a.md", in_item.format(row)) == in_item.replace(" h |", " H |").format(expected)
