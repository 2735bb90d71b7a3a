"""The blocks of a page of Markdown that have text, and where each character of them is in the page."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuronspec.deploy.documents.spans import Rewriter, lines_of

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\r?\n.*?\n(?:---|\.\.\.)|\+\+\+[ \t]*\r?\n.*?\n\+\+\+)[ \t]*(?=\r?\n|\Z)", re.DOTALL
)
_DIRECTIVE = re.compile(
    r"^[ \t]*(?::::|!!!|\?\?\?).*$|^[ \t>]*>[ \t]*\[!\w+\].*$|^[ \t]*\{:[^{}\n]*\}[ \t]*\r?$|^\*\[[^\]\n]+\]:.*$",
    re.MULTILINE,
)
"""Lines of extensions (`::: tip`, `!!! note`, `> [!NOTE]`, `{: .class}`, `*[HTML]: ...`) that end a paragraph."""

_BAR = re.compile(r"(?<!\\)\|")
"""What parts cells."""

_POSITIONED = ("newline", "escape", "backticks", "link", "image", "autolink", "html_inline", "entity")


@dataclass(frozen=True, slots=True)
class Block:
    """The inline content of a block, and where each of its lines is in the file and in the content."""

    content: str
    children: list[Token]
    starts: list[int]
    lines: list[int]
    is_cell: bool

    def place(self, at: int) -> int:
        """Where a character of the content is in the file."""
        line = bisect_right(self.lines, at) - 1
        return self.starts[line] + at - self.lines[line]


def markdown_parser() -> MarkdownIt:
    """A parser of CommonMark with tables and strikethrough whose inline tokens know where they end."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable("text_join")
    rules = {rule.name: rule.fn for rule in parser.inline.ruler.__rules__}
    for name in _POSITIONED:
        parser.inline.ruler.at(name, _positioned(rules[name]))
    reference = next(rule.fn for rule in parser.block.ruler.__rules__ if rule.name == "reference")
    parser.block.ruler.at("reference", _without_footnotes(reference))
    return parser


def _without_footnotes(reference: Callable[..., bool]) -> Callable[..., bool]:
    """A rule for definitions of addresses that takes no footnote of one word, or of an address, for one."""

    def rule(state: Any, start: int, end: int, silent: bool) -> bool:
        is_footnote = state.src.startswith("[^", state.bMarks[start] + state.tShift[start])
        return not is_footnote and reference(state, start, end, silent)

    return rule


def _positioned(rule: Callable[[Any, bool], bool]) -> Callable[[Any, bool], bool]:
    def with_end(state: Any, silent: bool) -> bool:
        before = len(state.tokens)
        found = rule(state, silent)
        if found and not silent and len(state.tokens) > before:
            state.tokens[-1].meta["end"] = state.pos
        return found

    return with_end


def blocks_of(page: str, parser: MarkdownIt, environment: dict[str, Any], rewriter: Rewriter | None) -> Iterator[Block]:
    """The blocks that have text; those that can't be found are told to the rewriter."""
    lines = list(lines_of(page))
    hidden = _DIRECTIVE.sub("", _FRONT_MATTER.sub(lambda match: "\n" * match[0].count("\n"), page))
    row, at, is_cell = -1, 0, False
    for token in parser.parse(hidden, environment):
        if token.type in ("td_open", "th_open"):
            is_cell = True
        if token.type != "inline" or token.map is None:
            continue
        if is_cell:
            is_first = token.map[0] != row
            if is_first:
                row = token.map[0]
                begin = re.compile(r"[\s>]*\|?").match(page, *lines[row])
                at = begin.end() if begin else lines[row][0]
            starts, at = _cell_starts(page, at, lines[row][1], token.content, is_first)
        else:
            starts = _starts(page, lines[slice(*token.map)], token.content)
        is_cell, was_cell = False, is_cell
        if starts:
            parts = re.finditer(r"(?=\|)" if was_cell else r"(?<=\n)", token.content)
            own = [0, *(match.start() for match in parts)]
            yield Block(token.content, token.children or [], starts, own, was_cell)
        elif token.content.strip() and rewriter is not None:
            rewriter.leave(token.map[0] + 1, "its text can't be found in the line")


def _starts(page: str, lines: list[tuple[int, int]], content: str) -> list[int]:
    """Where the lines of a block's content begin; empty where they aren't found."""
    starts = []
    for (start, end), line in zip(lines, content.split("\n"), strict=False):
        written = page[start:end].rstrip()
        if written.endswith(line.rstrip()):
            starts.append(start + len(written) - len(line.rstrip()))
            continue
        heading = re.match(r".*?#{1,6}[ \t]+", written)  # with closing marks
        if heading is None or not written.startswith(line, heading.end()):
            return []
        starts.append(start + heading.end())
    return starts


def _cell_starts(page: str, at: int, end: int, content: str, is_first: bool) -> tuple[list[int], int]:
    """Where a cell's content begins, and each bar in it, which has a backslash in the page; where the next cell does.

    It is looked for between two places. The mark of an item may come before the first cell of a row.
    """
    written, place = in_cell(content), at
    while place <= end:
        bar = _BAR.search(page, place, end)
        stop = bar.start() if bar else end
        cell = page[place:stop].rstrip()
        if cell.strip() == written or (is_first and cell.endswith(written)):
            start = place + len(cell) - len(written)
            bars = enumerate(re.finditer(r"\|", content), start=1)
            return [start, *(start + match.start() + before for before, match in bars)], stop + 1
        place = stop + 1
    return [], at


def in_cell(content: str) -> str:
    """How the content of a cell is written: each bar with a backslash."""
    return content.replace("|", r"\|")


def tokens_of(content: str, children: list[Token]) -> Iterator[tuple[Token, int, int]]:
    """Inline tokens with their places; raises ValueError where they can't be told."""
    at, hidden = 0, False
    for token in children:
        start = at
        if hidden and token.type != "link_close":
            continue
        if "end" in token.meta:
            at = token.meta["end"]
        elif token.type == "link_open":
            at += 1
        else:
            written = token.content if token.type == "text" else token.markup
            at += len(written)
            if content[start:at] != written:
                raise ValueError("its markup can't be told")
        hidden = token.type == "link_open" and token.markup == "autolink"
        yield token, start, at
    if at != len(content):
        raise ValueError("its markup can't be told")
