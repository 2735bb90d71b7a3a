"""Markdown (`.md`): paragraphs, headings, items and cells; markup, code, addresses, HTML and front matter stay.

markdown-it-py says in which lines a block is and what its inline markup is. It doesn't write Markdown, and programs
that do (mdformat) write it in their own style, so texts are translated where they stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.checks import keeping
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markdown_blocks import Block, blocks_of, in_cell, markdown_parser, tokens_of
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Rewriter, Span, Text, framed, tag_of
from neuronspec.deploy.documents.wrapping import wrapped
from neuronspec.deploy.translator import Translator

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_OWN = re.compile(r"\[\^[^\]\s]+\]:|:[ \t]")
"""What a line begins with that is a text of its own: a footnote, a definition."""

_WHOLE = re.compile(r"(?:https?://|www\.)[^\s<>()]+|\[\^[^\]\s]+\]:?|\[[ xX]\](?=\s)")
"""What is no markup to the parser but stays as it is: bare addresses, footnotes, boxes of tasks."""

_HTML_TAG = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][\w-]*)(?:\s[^<>]*?)?(?P<alone>/?)>")
_BLOCK = re.compile(
    r"(?:[-+*]|\d{1,9}[.)]|#{1,6})(?:\s|$)|>|~~~|```|:::|\?\?\?|!!!|[=_*-]+\s*$|\||\[[^\]]*\]:|<(?=[A-Za-z/!?][^<>]*>\s*$)"
)
"""What a line of a paragraph doesn't begin with."""

_TO_ESCAPE = re.compile(
    r"\\(?=[!-/:-@\[-`{-~])|`|(?<!\s)\*|\*(?!\s)|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)


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
        parser = markdown_parser()
        environment: dict[str, Any] = {}
        spans = [
            span
            for block in blocks_of(page, parser, environment, rewriter if find is _texts else None)
            for span in find(page, block, parser, environment, rewriter)
        ]
        page = rewriter.rewritten(page, spans)
    stream.write(text.encoded(page))
    rewriter.report()


def _images(
    page: str, block: Block, parser: MarkdownIt, environment: dict[str, Any], rewriter: Rewriter
) -> Iterator[Span]:
    """What images say where they aren't shown."""
    try:
        tokens = list(tokens_of(block.content, block.children))
    except ValueError:
        return  # listed with the texts
    for token, start, stop in tokens:
        if token.type != "image" or not any(map(str.isalpha, token.content)):
            continue
        begin = block.place(start + 2)
        end = begin + len(token.content)
        try:
            parts = list(tokens_of(token.content, token.children or []))
            if "\n" in token.content:
                raise ValueError("what the image says is in several lines")
            if page[begin:end] != token.content:  # a bar in a cell
                raise ValueError("what the image says can't be found in the line")
        except ValueError as reason:
            rewriter.leave(page.count("\n", 0, begin) + 1, str(reason))
            continue
        last = block.place(stop - 1) + 1
        refers = page[end:last] in ("]", "][]")  # what it refers to is no text any more
        escape = keeping(_escaped_in_brackets, token.content, _unescaped)
        write = partial(_image, parser, environment, token.content, refers)
        yield Span(begin, last if refers else end, framed(list(_inline(token.content, parts, str)), escape), write)


def _image(parser: MarkdownIt, environment: dict[str, Any], source: str, refers: bool, content: str) -> str:
    """What an image says in the translation, with what it refers to if that was its text.

    Raises:
        ValueError: it would have other markup.
    """
    if _signature(parser, environment, source) != _signature(parser, environment, content):
        raise ValueError("the translation would read as other Markdown")
    return f"{content}][{source}]" if refers else content


def _texts(
    page: str, block: Block, parser: MarkdownIt, environment: dict[str, Any], rewriter: Rewriter
) -> Iterator[Span]:
    """The texts of a block, which end at line breaks, and where footnotes and definitions begin."""
    try:
        tokens = list(tokens_of(block.content, block.children))
    except ValueError as reason:
        rewriter.leave(page.count("\n", 0, block.starts[0]) + 1, str(reason))
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
    page: str, block: Block, part: list[tuple[Token, int, int]], parser: MarkdownIt, environment: dict[str, Any]
) -> Span:
    begin, end = part[0][1], part[-1][2]
    breaks = re.compile(r"\n[ \t]*").finditer(block.content, begin, end)
    joins = [page[block.place(each.start()) : block.place(each.end())] for each in breaks]
    inline = list(_inline(block.content, part, in_cell if block.is_cell else str))
    source = block.content[begin:end]

    def write(content: str) -> str:
        lines = [content] if block.is_cell else wrapped(content, len(joins) + 1, inline, _fits, is_source=True)
        plain = content.replace(r"\|", "|") if block.is_cell else "\n".join(lines)
        before, after = (_signature(parser, environment, text) for text in (source, plain))
        if before != after or (not _fits(content) and _fits(source) and not block.is_cell):
            raise ValueError("the translation would read as other Markdown")
        return lines[0] + "".join(join + line for join, line in zip(joins, lines[1:], strict=False))

    written = in_cell(source) if block.is_cell else source
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


def _escaped_in_brackets(text: str) -> str:
    return re.sub(r"[\[\]|]|\\\Z", r"\\\g<0>", _escaped(text))


def _escaped_in_cell(text: str) -> str:
    return in_cell(_escaped(text))


MARKDOWN = Format(translate_markdown, own_marks=True)
