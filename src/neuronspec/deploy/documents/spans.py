"""Texts at their places in a file: they are translated where they stand, and every other character stays.

A format that is written this way finds its texts and says how they are escaped (`Span`); what they have in common is
here: decoding, tags in messages, checks, the summary. Libraries that parse such formats write them anew, in their own
style (quotes, escapes, order, comments, line ends), so they aren't used for writing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.checks import log_problems
from neuronspec.deploy.documents.html_text import VOID
from neuronspec.deploy.documents.lines import Source, decode
from neuronspec.deploy.documents.markup import Inline, Tag
from neuronspec.deploy.documents.messages import translate_messages
from neuronspec.deploy.documents.xml_inline import Segment, merged, translated
from neuronspec.deploy.translator import Translator

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


Line = tuple[int, int]
"""Where a line begins and ends, without its line end."""


def lines_of(text: str) -> Iterator[Line]:
    r"""The lines of a text, which end with `\n`, `\r\n` or `\r`, and the last one, which may be empty."""
    for match in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n|\Z)", text):
        yield match.start(), match.start() + len(match[0].rstrip("\r\n"))


def line_counter(text: str) -> Callable[[int], int]:
    """Tells the line of each of some places, from 1; quick where they come in order."""
    line, at = 1, 0

    def count(place: int) -> int:
        nonlocal line, at
        if place < at:
            line, at = 1, 0
        line += text.count("\n", at, place)
        at = place
        return line

    return count


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file.

    Args:
        name: of the file, for messages.
        text: all of it, without a byte order mark.
        encoding: that it is in.
        mark: the byte order mark that it begins with.
    """

    name: str
    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    @classmethod
    def read(cls, source: Source, encoding: str = "utf-8") -> Text:
        """Read a file: in UTF-8, UTF-16 or UTF-32 by its byte order mark, in `encoding` without one.

        Raises:
            CorpusError: it isn't in that encoding; names file and line.
        """
        return cls.of(source.name, source.stream.read(), encoding)

    @classmethod
    def of(cls, name: str, raw: bytes, encoding: str = "utf-8") -> Text:
        """The text of a file's bytes; see `read`."""
        mark, encoding = next((each for each in _MARKS if raw.startswith(each[0])), (b"", encoding))
        if encoding == "utf-8":
            lines = raw[len(mark) :].split(b"\n")
            text = "\n".join(decode(name, number, line) for number, line in enumerate(lines, start=1))
        else:
            try:
                text = raw[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                line = raw[: error.start].decode(encoding, "ignore").count("\n") + 1
                raise CorpusError(f"{name}:{line}: not valid {encoding}; convert the file to UTF-8") from None
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise CorpusError(
                f"{name}:{line}: not text, or UTF-16 without a byte order mark; convert the file to UTF-8"
            )
        return cls(name, text, encoding, mark)

    def line(self, place: int) -> int:
        """The number of the line in which a character is, from 1."""
        return self.text.count("\n", 0, place) + 1

    def encoded(self, text: str) -> bytes:
        """Another text in this file's encoding, which must have its characters."""
        return self.mark + text.encode(self.encoding)


@dataclass(frozen=True, slots=True)
class Span:
    """A text in a file.

    Args:
        start: where it begins, in characters.
        end: where it ends.
        text: what is translated: the message of a program as people read it, or a segment, which says what is markup in
            it and how text is escaped.
        write: the translation as it is written in the file, of a message with its escapes; raises ValueError where it
            can't be written.
    """

    start: int
    end: int
    text: str | Segment
    write: Callable[[str], str] = str


class Rewriter:
    """Translates the texts of a file and counts them.

    Args:
        translator: serves the direction.
        direction: of the translation.
        name: of the file, for messages.
    """

    def __init__(self, translator: Translator, direction: Direction, name: str) -> None:
        self._translator, self._direction, self._name = translator, direction, name
        self._wanted = 0
        self._problems: list[tuple[int, str]] = []

    def rewritten(self, text: str, spans: Sequence[Span]) -> str:
        """A text with translations in its spans; those that can't be translated stay.

        Args:
            text: of the file; what was rewritten before has as many lines.
            spans: must not overlap; those without letters stay.
        """
        pieces, at = [], 0
        line = line_counter(text)
        found = self.edits(spans, lambda span: text[span.start : span.end], lambda span: line(span.start))
        for start, end, content in found:
            pieces += [text[at:start], content]
            at = end
        return "".join([*pieces, text[at:]])

    def edits(
        self, spans: Iterable[Span], written: Callable[[Span], str], line: Callable[[Span], int]
    ) -> list[tuple[int, int, str]]:
        """What is written where: start, end and text, in order.

        Args:
            spans: as of `rewritten`; places may be those of an XML document.
            written: what stands in a span.
            line: the number of the line of a span.
        """
        spans = sorted(filter(_has_letters, spans), key=lambda each: each.start)
        results = self._translated(spans, written)
        edits = []
        for span, (content, problem) in zip(spans, results, strict=True):
            same = content == (span.text if isinstance(span.text, str) else written(span))
            if not problem and not same:
                try:
                    content = span.write(content)
                except ValueError as reason:
                    problem = str(reason)
            if problem:
                self._problems.append((line(span), problem))
            elif not same:  # then it stays as it is written
                edits.append((span.start, span.end, content))
        self._wanted += len(spans)
        return edits

    def _translated(self, spans: list[Span], written: Callable[[Span], str]) -> list[tuple[str, str]]:
        """By span, the translation and what is wrong with it."""
        messages = [each.text for each in spans if isinstance(each.text, str)]
        segments = [_with_written(each.text, written(each)) for each in spans if isinstance(each.text, Segment)]
        of_messages = iter(translate_messages(self._translator, self._direction, messages))
        of_segments = iter(translated(self._translator, self._direction, segments))
        return [next(of_messages if isinstance(each.text, str) else of_segments) for each in spans]

    def leave(self, line: int, problem: str) -> None:
        """Note a text that has no span, and why it stays untranslated."""
        self._wanted += 1
        self._problems.append((line, problem))

    def report(self) -> None:
        """Log how many texts were translated, and list the others."""
        problems = [f"{self._name}:{line}: {problem}" for line, problem in sorted(self._problems)]
        log_problems(self._wanted - len(problems), self._wanted, problems, "texts", "translated")


def rewrite(translator: Translator, direction: Direction, text: Text, spans: Sequence[Span], stream: BinaryIO) -> None:
    """Write a file with translations in its spans, and report."""
    rewriter = Rewriter(translator, direction, text.name)
    stream.write(text.encoded(rewriter.rewritten(text.text, spans)))
    rewriter.report()


def paired(text: str, errors: str = "strict") -> str:
    """With surrogate pairs, which escapes may write, as characters.

    Raises:
        ValueError: there is half of one, and `errors` doesn't replace it.
    """
    try:
        return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", errors)
    except UnicodeDecodeError:
        raise ValueError("it has half of a surrogate pair, which is no character") from None


def tag_of(match: re.Match[str], written: str) -> Tag:
    """A tag of a match with the groups `close`, `name` and `alone`."""
    name = match["name"].lower()
    if match["alone"] or name in VOID:
        return Tag(written, "single", is_break=name in VOID - {"wbr"})
    return Tag(written, "close" if match["close"] else "open", name, nested=True)


def joined(text: str) -> str:
    """With one space where it was only wrapped."""
    return re.sub(r"[ \t]*[\r\n][ \t\r\n]*", " ", text)


def framed(inline: Inline, escape: Callable[[str], str], written: str | None = None) -> Segment:
    """A segment, with the white space around its text outside of it.

    Args:
        inline: text and tags.
        escape: how text is written in the file.
        written: as of `Segment`.
    """
    pieces = merged(inline)
    before = after = ""
    if isinstance(pieces[0], str):
        stripped = pieces[0].lstrip()
        before, pieces[0] = pieces[0][: len(pieces[0]) - len(stripped)], stripped
    if isinstance(pieces[-1], str):
        stripped = pieces[-1].rstrip()
        after, pieces[-1] = pieces[-1][len(stripped) :], stripped
    return Segment(escape(before), pieces, escape(after), escape, written)


def _with_written(segment: Segment, written: str) -> Segment:
    return segment if segment.written is not None else replace(segment, written=written)


def _has_letters(span: Span) -> bool:
    text = span.text if isinstance(span.text, str) else span.text.text
    return any(character.isalpha() for character in text)
