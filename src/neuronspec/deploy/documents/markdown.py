"""Markdown (`.md`): paragraphs, headings, items and cells; markup, code, addresses, HTML and front matter stay.

markdown-it-py says in which lines a block is and what its inline markup is. It doesn't write Markdown, and programs
that do (mdformat) write it in their own style, so texts are translated where they stand.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.checks import keeping
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Rewriter, Span, Text, framed, lines_of, tag_of
from neuronspec.deploy.documents.wrapping import wrapped
from neuronspec.deploy.translator import Translator

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

_OWN = re.compile(r"\[\^[^\]\s]+\]:|:[ \t]")
"""What a line begins with that is a text of its own: a footnote, a definition."""

_WHOLE = re.compile(r"(?:https?://|www\.)[^\s<>()]+|\[\^[^\]\s]+\]:?|\[[ xX]\](?=\s)")
"""What is no markup to the parser but stays as it is: bare addresses, footnotes, boxes of tasks."""

_HTML_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w-]*)(?:\s[^<>]*?)?(?P<alone>/?)>")
_BLOCK = re.compile(
    r"(?:[-+*]|\d{1,9}[.)]|#{1,6})(?:\s|$)|>|~~~|```|:::|\?\?\?|!!!|[=_*-]+\s*$|\||\[[^\]]*\]:|<(?=[A-Za-z/!?][^<>]*>\s*$)"
)
"""What a line of a paragraph doesn't begin with."""

_BAR = re.compile(r"(?<!\\)\|")
"""What parts cells."""

_TO_ESCAPE = re.compile(
    r"\\(?=[!-/:-@\[-`{-~])|`|(?<!\s)\*|\*(?!\s)|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
_POSITIONED = ("newline", "escape", "backticks", "link", "image", "autolink", "html_inline", "entity")


@dataclass(frozen=True, slots=True)
class _Block:
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


def translate_markdown(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate a page of Markdown (CommonMark with tables and strikethrough) where it is written.

    A paragraph has as many lines afterwards. Texts whose translation would read as other markup stay and are listed.

    Raises:
        CorpusError: it isn't UTF-8.
    """
    text = Text.read(source)
    rewriter = Rewriter(translator, direction, text.name)
    page = text.text
    for find in (_images, _texts):
        parser = _parser()
        environment: dict[str, Any] = {}
        spans = [
            span
            for block in _blocks(page, parser, environment, rewriter if find is _texts else None)
            for span in find(page, block, parser, environment)
        ]
        page = rewriter.rewritten(page, spans)
    stream.write(text.encoded(page))
    rewriter.report()


def _parser() -> MarkdownIt:
    """A parser whose inline tokens know where they end."""
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


def _blocks(page: str, parser: MarkdownIt, environment: dict[str, Any], rewriter: Rewriter | None) -> Iterator[_Block]:
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
            yield _Block(token.content, token.children or [], starts, own, was_cell)
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
    written, place = _in_cell(content), at
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


def _in_cell(content: str) -> str:
    return content.replace("|", r"\|")


def _tokens(content: str, children: list[Token]) -> Iterator[tuple[Token, int, int]]:
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


def _images(page: str, block: _Block, parser: MarkdownIt, environment: dict[str, Any]) -> Iterator[Span]:
    """What images say where they aren't shown."""
    try:
        tokens = list(_tokens(block.content, block.children))
    except ValueError:
        return
    for token, start, stop in tokens:
        simple = all(child.type == "text" for child in token.children or [])
        if token.type == "image" and simple and "\n" not in token.content:
            begin = block.place(start + 2)
            end = begin + len(token.content)
            if page[begin:end] != token.content:
                continue
            written = framed([token.content], lambda text: re.sub(r"([\[\]\\|])", r"\\\1", text))
            last = block.place(stop - 1) + 1
            if page[end:last] in ("]", "][]"):  # what it refers to is no text any more
                yield Span(begin, last, written, partial("{1}][{0}]".format, token.content))
            else:
                yield Span(begin, end, written)


def _texts(page: str, block: _Block, parser: MarkdownIt, environment: dict[str, Any]) -> Iterator[Span]:
    """The texts of a block, which end at line breaks, and where footnotes and definitions begin."""
    try:
        tokens = list(_tokens(block.content, block.children))
    except ValueError:
        return
    parts: list[list[tuple[Token, int, int]]] = [[]]
    for each in tokens:
        begins_own = each[0].type == "softbreak" and _OWN.match(block.content, each[2])
        is_break = each[0].type == "hardbreak" or re.match(r"<br\b", block.content[each[1] : each[2]], re.IGNORECASE)
        if begins_own or is_break:
            parts.append([])
        else:
            parts[-1].append(each)
    for part in parts:
        while part and part[0][0].type == "softbreak":
            part.pop(0)
        while part and part[-1][0].type == "softbreak":
            part.pop()
        if part:
            yield _span(page, block, part, parser, environment)


def _span(
    page: str, block: _Block, part: list[tuple[Token, int, int]], parser: MarkdownIt, environment: dict[str, Any]
) -> Span:
    begin, end = part[0][1], part[-1][2]
    breaks = re.compile(r"\n[ \t]*").finditer(block.content, begin, end)
    joins = [page[block.place(each.start()) : block.place(each.end())] for each in breaks]
    inline = list(_inline(block.content, part, _in_cell if block.is_cell else str))
    source = block.content[begin:end]

    def write(content: str) -> str:
        lines = [content] if block.is_cell else wrapped(content, len(joins) + 1, inline, _fits, is_source=True)
        plain = content.replace(r"\|", "|") if block.is_cell else "\n".join(lines)
        before, after = (_signature(parser, environment, text) for text in (source, plain))
        if before != after or (not _fits(content) and _fits(source) and not block.is_cell):
            raise ValueError("the translation would read as other Markdown")
        return lines[0] + "".join(join + line for join, line in zip(joins, lines[1:], strict=False))

    written = _in_cell(source) if block.is_cell else source
    escape = keeping(_escaped_in_cell if block.is_cell else _escaped, written, _unescaped)
    start = block.place(begin) - (block.is_cell and source.startswith("|"))  # with its backslash
    return Span(start, block.place(end - 1) + 1, framed(inline, escape), write)


def _inline(content: str, part: list[tuple[Token, int, int]], write: Callable[[str], str]) -> Iterator[str | Tag]:
    """Text and markup.

    Args:
        content: of the block.
        part: the tokens.
        write: how markup is written in the file.
    """
    label = 0
    for token, start, end in part:
        written = content[start:end]
        if token.type == "link_open":
            label = end
        if token.type == "link_close" and written in ("]", "][]"):
            written = f"][{content[label:start]}]"  # what it refers to is no text any more
        if token.type == "softbreak":
            yield " "
        elif token.type == "text_special":
            yield token.content
        elif token.type == "text":
            at = 0
            for match in _WHOLE.finditer(written):
                yield written[at : match.start()]
                yield Tag(write(match[0]), "single")
                at = match.end()
            yield written[at:]
        elif token.type == "html_inline":
            tag = _HTML_TAG.fullmatch(written)
            yield tag_of(tag, write(written)) if tag else Tag(write(written), "single")
        elif token.nesting and token.markup != "autolink":
            kind = token.type.removesuffix("_open").removesuffix("_close")
            yield Tag(write(written), "open" if token.nesting > 0 else "close", kind, nested=True)
        else:
            yield Tag(write(written), "single", is_break=token.type == "image")


def _signature(parser: MarkdownIt, environment: dict[str, Any], content: str) -> Counter[str]:
    """The markup in a text."""
    tokens = parser.parseInline(content, environment)[0].children or []
    kinds = [token for token in tokens if token.type not in ("text", "text_special", "softbreak")]
    return Counter(f"{token.type} {token.markup} {token.attrs} {token.nesting or token.content}" for token in kinds)


def _fits(text: str) -> bool:
    return _BLOCK.match(text) is None


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def _escaped_in_cell(text: str) -> str:
    return _in_cell(_escaped(text))


MARKDOWN = Format(translate_markdown, own_marks=True)
