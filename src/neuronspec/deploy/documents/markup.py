"""Inline markup: the tags of a source are put around the words of its translation that belong to the same words.

A text with tags is translated without them. The attention of the model says which words belong together
(`neuronspec.translation.alignment`); a pair of tags goes around the words that belong to those it had inside, a single
tag after the word that belongs to the one before it. Translating the pieces between tags one by one would keep tags
more easily, but the model would see fragments instead of sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neuronspec.translation.alignment import Aligned, units

ENOUGH = 0.5
"""The share of its attention that a word of the translation gives to the words in a pair of tags, to be in it, too."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as it is written.

    Args:
        written: what stands in the file.
        kind: whether it opens a pair, closes one, or stands alone.
        pair: what the two tags of a pair have in common.
        nested: whether the pair is an element, which is always nested. Others are treated as single tags where they
            aren't, or where one of them is missing.
        is_break: whether it parts the words around it, as a line break does, with or without spaces.
    """

    written: str
    kind: Literal["open", "close", "single"]
    pair: str = ""
    nested: bool = False
    is_break: bool = False

    @property
    def shown(self) -> str:
        """What it is in the text without tags."""
        return " " if self.is_break else ""


Inline = Sequence[str | Tag]
"""Text and tags in the order in which they are written."""


@dataclass(slots=True, eq=False)
class _Node:
    """A pair of tags and what is in it, a single tag, or the whole; places are characters of the text without tags."""

    opening: str = ""
    closing: str = ""
    start: int = 0
    end: int = 0
    children: list[_Node] = field(default_factory=list)

    @property
    def tags(self) -> str:
        """All its tags, without any text."""
        return "".join([self.opening, *(child.tags for child in self.children), self.closing])


def plain(inline: Inline) -> str:
    """The text without tags; a space stands for those that part words."""
    return "".join(piece if isinstance(piece, str) else piece.shown for piece in inline)


def with_tags(inline: Inline, translation: str, words: Aligned, escape: Callable[[str], str] = str) -> str | None:
    """A translation with the tags of its source.

    Args:
        inline: the source.
        translation: of its text.
        words: which words of both belong together.
        escape: is applied to the text between tags.

    Returns:
        The translation with each tag once and pairs nested as in the source; None where that can't be done.
    """
    text = plain(inline)
    source = units(text)
    if not source:  # nothing but tags
        return "".join(escape(piece) if isinstance(piece, str) else piece.written for piece in inline)
    if len(source) != len(words.source) or not words.target:
        return None
    placed = _Placing(text, source, translation, words, escape)
    return placed.inside(_tree(inline), 0, len(source), 0, len(words.target), 0, len(translation))


def _tree(inline: Inline) -> _Node:
    """The tags as a tree."""
    root, place, text = _Node(), 0, plain(inline)
    open_ones, ends = [root], _pairs(inline)
    for at, piece in enumerate(inline):
        if isinstance(piece, str):
            place += len(piece)
        elif at in ends.values():
            node = open_ones.pop()
            node.closing, node.end = piece.written, place
            space = text[node.start : place]
            if len(space) > 1 and space.isspace() and not node.children:  # a blank to fill in
                node.opening, node.closing = f"{node.opening}{space}{node.closing}", ""
        else:
            node = _Node(piece.written, start=place, end=place + len(piece.shown))
            place = node.end
            open_ones[-1].children.append(node)
            if at in ends:
                open_ones.append(node)
    root.end = place
    return root


def _pairs(inline: Inline) -> dict[int, int]:
    """Where the closing tag of each opening one is; of pairs that overlap, the one that was opened last isn't one."""
    ends: dict[int, int] = {}
    waiting: list[tuple[int, Tag]] = []
    for at, piece in enumerate(inline):
        if isinstance(piece, str) or piece.kind == "single":
            continue
        if piece.kind == "open":
            waiting.append((at, piece))
            continue
        for depth in reversed(range(len(waiting))):
            begin, opening = waiting[depth]
            if (opening.pair, opening.nested) == (piece.pair, piece.nested):
                ends[begin] = at
                del waiting[depth:]
                break
            if opening.nested:
                break
    return ends


@dataclass(frozen=True, slots=True, eq=False)
class _Placing:
    """Where tags go in one translation."""

    text: str
    source: list[tuple[int, int]]
    translation: str
    words: Aligned
    escape: Callable[[str], str]

    def inside(self, node: _Node, first: int, last: int, begin: int, end: int, low: int, high: int) -> str | None:
        """The translation from `low` to `high` with the tags in a node.

        Args:
            node: whose children are placed.
            first: its first word of the source.
            last: the word after its last.
            begin: its first word of the translation.
            end: the word after its last.
            low: where it begins in the translation, in characters.
            high: where it ends.
        """
        taken: list[tuple[int, int]] = []
        found: list[tuple[int, int, int, str]] = []  # characters from and to, order in the source, what stands there
        singles: list[tuple[int, _Node]] = []
        for order, child in enumerate(node.children):
            own = self._words_in(child)
            if own[0] == own[1]:
                singles.append((order, child))
                continue
            whole = own == (first, last) and not taken
            span = (begin, end) if whole else self._best(own, begin, end, taken)
            if span is None:
                return None
            taken.append(span)
            start, stop = self.words.target[span[0]][0], self.words.target[span[1] - 1][1]
            within = self.inside(child, *own, *span, start, stop)
            if within is None:
                return None
            found.append((start, stop, order, f"{child.opening}{within}{child.closing}"))
        for order, child in singles:
            place, written = self._single(child, first, last, begin, end, taken)
            found.append((place, place + self._replaced(child, place, high), order, written))
        pieces, at = [], low
        for start, stop, _, written in sorted(found):
            pieces += [self.escape(self.translation[at:start]), written]
            at = stop
        return "".join([*pieces, self.escape(self.translation[at:high])])

    def _replaced(self, node: _Node, place: int, high: int) -> int:
        """How many spaces a tag stands for that goes to a place: one, where it parts words without any."""
        if node.closing or node.children:
            return 0
        beside = self.text[: node.start][-1:], self.text[node.end : node.end + 1]
        alone = node.start < node.end and not any(character.isspace() for character in beside)
        return int(alone and self.translation[place : min(place + 1, high)] == " ")

    def _words_in(self, node: _Node) -> tuple[int, int]:
        """The first word of the source in a node, and the one after the last."""
        inside = [at for at, (start, end) in enumerate(self.source) if start < node.end and end > node.start]
        return (inside[0], inside[-1] + 1) if inside else (0, 0)

    def _best(
        self, own: tuple[int, int], begin: int, end: int, taken: Sequence[tuple[int, int]]
    ) -> tuple[int, int] | None:
        """The neighbouring words of the translation that belong most to some of the source; None if none are free."""
        shares = self.words.weights[:, own[0] : own[1]].sum(axis=1) - ENOUGH
        best: tuple[float, int, int] | None = None
        for start, stop in _free(begin, end, taken):
            for low in range(start, stop):
                sums = np.cumsum(shares[low:stop])
                high = int(sums.argmax())
                if best is None or sums[high] > best[0]:
                    best = (float(sums[high]), low, low + high + 1)
        return best[1:] if best is not None else None

    def _single(
        self, node: _Node, first: int, last: int, begin: int, end: int, taken: Sequence[tuple[int, int]]
    ) -> tuple[int, str]:
        """Where a tag without words goes, and what is written there: with the spaces that it has in the source."""
        before = [at for at in range(first, last) if self.source[at][1] <= node.start]
        after = [at for at in range(first, last) if self.source[at][0] >= node.end]
        space_before = self.text[: node.start][-1:].isspace()
        space_after = self.text[node.end : node.end + 1].isspace()
        written = node.tags
        if not before or not after:
            place = self.words.target[begin][0] if not before else self.words.target[end - 1][1]
            spaced = (not before and space_after) or (before and space_before)
            return place, (f"{written} " if not before else f" {written}") if spaced else written
        belongs = self.words.weights[begin:end, before[-1]]
        at = begin + int(np.flatnonzero(belongs == belongs.max())[-1]) + 1  # the last of several
        at = next((stop for start, stop in taken if start < at < stop), at)
        if space_before and at < end:
            return self.words.target[at][0], f"{written} " if space_after else written
        return self.words.target[at - 1][1], f" {written}" if space_before else written


def _free(begin: int, end: int, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The runs of words that no tag has yet."""
    at = begin
    for start, stop in sorted(taken):
        if at < start:
            yield at, start
        at = max(at, stop)
    if at < end:
        yield at, end
