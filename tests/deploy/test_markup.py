"""Tags around the words of a translation that belong to the same words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import translate_document
from neuronspec.deploy.documents.markup import Inline, Tag, plain, with_tags
from neuronspec.translation.alignment import Aligned, aligned, units

TAG = re.compile(r"(</?\w+/?>)")


def inline(text: str) -> Inline:
    """`Click <b>here</b><x/>` as text and tags."""
    found: list[str | Tag] = []
    for piece in filter(None, TAG.split(text)):
        name = piece.strip("</>")
        kind = "single" if piece.endswith("/>") else "close" if piece.startswith("</") else "open"
        found.append(Tag(piece, kind, name) if TAG.fullmatch(piece) else piece)  # type: ignore[arg-type]
    return found


def reversed_words(text: str) -> tuple[str, Aligned]:
    """A translation that has the words in reverse, and what belongs to what."""
    source = " ".join(text.split())
    target = " ".join(reversed(source.split()))
    return target, Aligned(units(source), units(target), np.eye(len(units(source)))[::-1])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Click <b>here</b> now", "now <b>here</b> Click"),
        ("<b>all of it</b>", "<b>it of all</b>"),
        ("a <x/> b c", "c b a <x/>"),
        ("a<x/> b c", "c b a<x/>"),
        ("<x/>a b<y/>", "<x/>b a<y/>"),
        ("<a>one <b>two</b> three</a> four", "four <a>three <b>two</b> one</a>"),
        ("one <a>two</a> <b>three</b>", "<b>three</b> <a>two</a> one"),
        ("un<b>believ</b>able thing", "thing <b>unbelievable</b>"),
        ("<a><x/>one two<y/></a> three", "three <a><x/>two one<y/></a>"),
        ("a <b></b> c", "c a <b></b>"),
        ("<a>one <b>two</a> three</b>", "three <a>two</b> one <b></a>"),
        ("one</b> two", "two one</b>"),
        ("<x/>", "<x/>"),
    ],
)
def test_tags_follow_their_words(source: str, expected: str) -> None:
    text, words = reversed_words(plain(inline(source)))
    found = with_tags(inline(source), text, words)
    assert found is not None and sorted(TAG.findall(found)) == sorted(TAG.findall(source))
    if "<b>two</a>" not in source:  # pairs that overlap have no right place
        assert found == expected


PIECES = st.lists(
    st.sampled_from(["one", "two ", " three", " ", "<a>", "</a>", "<b>", "</b>", "<x/>", "<y/>", ". "]), max_size=12
)


@given(PIECES)
def test_every_tag_comes_out_once_and_the_text_stays(pieces: list[str]) -> None:
    source = inline("".join(pieces))
    text = plain(source).strip()
    target = " ".join(f"w{at}" for at in range(1 + len(pieces) // 2))
    weights = np.random.default_rng(len(pieces)).random((len(units(target)), len(units(text))))
    found = with_tags(source, target, Aligned(units(text), units(target), weights))
    if found is None:  # two pairs share a word
        assert len(units(text)) < len(TAG.findall("".join(pieces)))
        return
    assert sorted(TAG.findall(found)) == sorted(piece.written for piece in source if isinstance(piece, Tag))
    if units(text):
        assert TAG.sub("", found).split() == target.split()


def test_what_cannot_be_placed_is_left() -> None:
    words = Aligned(units("one two"), [], np.zeros((0, 2)))
    assert with_tags(inline("<b>one</b> two"), "", words) is None
    two_pairs = Aligned(units("one two"), units("beide"), np.full((1, 2), 0.5))
    assert with_tags(inline("<a>one</a> <b>two</b>"), "beide", two_pairs) is None


def test_words_are_aligned_by_their_pieces() -> None:
    found = aligned(
        "go home", "heim gehen", [(0, 2), (2, 5), (5, 7)], [(0, 4), (4, 10)], np.array([[0.1, 0.4, 0.4], [0.6, 0.1, 0]])
    )
    assert (found.source, found.target) == ([(0, 2), (3, 7)], [(0, 4), (5, 10)])
    assert found.weights[0].argmax() == 1 and found.weights[1].argmax() == 0
    assert found.weights.sum(axis=1) == pytest.approx([1, 1])
    assert [("家へ go.")[start:end] for start, end in units("家へ go.")] == ["家", "へ", "go", "."]


XLIFF = """<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="en" target-language="de"><body>
<trans-unit id="1"><source>w1 <g id="1">w2</g> w3</source></trans-unit>
<trans-unit id="2">
<source><g id="1">w4 <bpt id="2">&lt;b></bpt>w2<ept id="2">&lt;/b></ept></g> w1<x id="3"/></source></trans-unit>
<trans-unit id="3"><source>w7 <unknown/> w8</source></trans-unit>
<trans-unit id="4"><source>{n, plural, one {# <g id="1">w1</g>} other {# w2}}</source></trans-unit>
</body></file></xliff>"""


@pytest.mark.parametrize("kind", ["exported", "specialized"])
def test_a_model_puts_markup_where_it_belongs(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="neuronspec")
    translator = ns.Translator(request.getfixturevalue(kind), beam=2)
    assert translator("w1 w2 w3", "en-de") == "w3 w2 w1", "it reverses the words"
    (tmp_path / "a.xlf").write_text(XLIFF)
    translate_document(translator, Direction("en", "de"), str(tmp_path / "a.xlf"), tmp_path / "out.xlf")
    targets = re.findall(r"<target[^>]*>(.*?)</target>", (tmp_path / "out.xlf").read_text())
    assert targets == [
        'w3 <g id="1">w2</g> w1',
        'w1 <g id="1"><bpt id="2">&lt;b></bpt>w2<ept id="2">&lt;/b></ept> w4</g><x id="3"/>',
    ]
    assert caplog.messages[0] == "filled 2 of 4 units"
    assert caplog.messages[2].endswith("a.xlf:5: it has the markup <unknown> inside, which isn't known")
    assert "a.xlf:6: it is an ICU message" in caplog.messages[3]


def test_a_break_is_a_space_of_the_text() -> None:
    pieces = ["one", Tag("<br/>", "single", is_break=True), "two"]
    assert plain(pieces) == "one two"
    words = Aligned(units("one two"), units("zwei eins"), np.eye(2)[::-1])
    assert with_tags(pieces, "zwei eins", words) == "zwei eins<br/>"
    words = Aligned(units("one two"), units("eins zwei"), np.eye(2))
    assert with_tags(pieces, "eins zwei", words) == "eins<br/>zwei"
