r"""Texts of programs by their keys: Apple's `.strings`, Java's `.properties`; values are translated where they stand.

translate-toolkit reads both and writes them anew, in its own order of escapes; its rules for encodings are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.spans import Rewriter, Span, Text, line_counter, lines_of, paired
from neuronspec.deploy.translator import Translator

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_COMMENT = r"/\*(?:[^*]|\*(?!/))*\*/"
_STRINGS = re.compile(
    rf"""\s+|{_COMMENT}|//[^\r\n]*
    |(?P<key>{_QUOTED}|[\w.$:-]+)(?:\s|{_COMMENT})*(?:=(?:\s|{_COMMENT})*(?P<value>{_QUOTED}|[\w.$:-]+)\s*)?;""",
    re.DOTALL | re.VERBOSE,
)
_STRINGS_ESCAPE = re.compile(r"\\(?:[Uu]([0-9A-Fa-f]{4})|([0-7]{1,3})|(.))", re.DOTALL)
_PROPERTIES_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(\r\n|\r|\n)[ \t\f]*|(.))", re.DOTALL)
_JOINED = r"\\(?:\r\n|\r|\n)[ \t\f]*+"
"""Where a line goes on; it stands for nothing, also in and around keys."""

_SPACE = rf"(?:[ \t\f]|{_JOINED})*+"
_KEY = re.compile(rf"{_SPACE}(?P<key>(?:[^\\ \t\f=:]|{_JOINED}|\\[^\r\n])*+)(?:{_SPACE}[=:]|[ \t\f]){_SPACE}")
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_MESSAGE_FORMAT = re.compile(r"\{\d+(?:,[^{}]*)?\}")
"""What Java's MessageFormat fills in; a text with it has each apostrophe twice."""

Entry = tuple[str, int, int]
"""A key, and where its value is."""


def translate_strings(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the values of Apple's `.strings`, in UTF-8 or, with a byte order mark, UTF-16.

    Raises:
        CorpusError: a part of it is neither a comment nor a key with its value, or not in that encoding.
    """
    text = Text.read(source)
    entries, at = [], 0
    while at < len(text.text):
        match = _STRINGS.match(text.text, at)
        if match is None:
            written = text.text[at:].split("\n")[0].strip()
            raise CorpusError(
                f'{text.name}:{text.line(at)}: neither a comment nor "key" = "value"; as it must be: {written[:60]!r}'
            )
        at = match.end()
        if match["value"] and match["value"].startswith('"'):
            entries.append((_strings_plain(match["key"], "replace"), match.start("value") + 1, match.end("value") - 1))
    _rewrite(translator, direction, text, entries, _strings_span, stream)


def translate_properties(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    r"""Translate the values of Java's `.properties`: in UTF-8 or, where it isn't that, ISO-8859-1.

    In a file without characters beyond ASCII, and for those that ISO-8859-1 lacks, characters are written as
    `\uXXXX`, which is right in both. In messages with `{0}`, apostrophes are doubled where the source's are.
    """
    raw = source.stream.read()
    try:
        raw.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "iso-8859-1"
    text = Text.of(source.name, raw, encoding)
    known = "ascii" if text.text.isascii() else text.encoding
    span = partial(_properties_span, encoding=known)
    _rewrite(translator, direction, text, list(_properties(text.text)), span, stream)


def _rewrite(
    translator: Translator,
    direction: Direction,
    text: Text,
    entries: list[Entry],
    span_of: Callable[[str, int, int], Span],
    stream: BinaryIO,
) -> None:
    """Translate entries; those whose key is there twice, or that have no span, stay and are listed."""
    rewriter = Rewriter(translator, direction, text.name)
    counts = Counter(key for key, _, _ in entries)
    spans, line = [], line_counter(text.text)
    for key, start, end in entries:
        if counts[key] > 1:
            rewriter.leave(line(start), f"the key {key!r} is in the file more than once")
        else:
            try:
                spans.append(span_of(text.text, start, end))
            except ValueError as problem:
                rewriter.leave(line(start), str(problem))
    stream.write(text.encoded(rewriter.rewritten(text.text, spans)))
    rewriter.report()


def _strings_plain(written: str, errors: str = "strict") -> str:
    def shown(match: re.Match[str]) -> str:
        number, octal, other = match.groups()
        if octal:
            return chr(int(octal, 8))
        return chr(int(number, 16)) if number else _CONTROL.get(other, other)

    return paired(_STRINGS_ESCAPE.sub(shown, written[1:-1] if written.startswith('"') else written), errors)


def _strings_span(text: str, start: int, end: int) -> Span:
    written = text[start:end]
    breaks = [line for line in ("\r\n", "\n") if line in written]  # as they are, not escaped

    def escaped(value: str) -> str:
        value = value.replace("\\", r"\\").replace('"', r"\"")
        return value if breaks else value.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")

    return Span(start, end, _strings_plain(f'"{written}"'), escaped)


def _properties(text: str) -> Iterator[Entry]:
    """The keys and where their values are, over continued lines."""
    lines = iter(lines_of(text))
    for start, end in lines:
        written = text[start:end].lstrip(" \t\f")
        if not written or written[0] in "#!":
            continue
        while _continues(text[start:end]):
            following = next(lines, None)
            if following is None:
                break
            end = following[1]
        key = _KEY.match(text, start, end)
        if key:
            yield _properties_plain(key["key"], "replace"), key.end(), end


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _properties_plain(written: str, errors: str = "strict") -> str:
    def shown(match: re.Match[str]) -> str:
        number, line_end, other = match.groups()
        if line_end:
            return ""
        return chr(int(number, 16)) if number else _CONTROL.get(other, other)

    return paired(_PROPERTIES_ESCAPE.sub(shown, written), errors)


def _properties_span(text: str, start: int, end: int, encoding: str) -> Span:
    plain = _properties_plain(text[start:end])
    is_pattern = _MESSAGE_FORMAT.search(plain) is not None
    doubled = is_pattern and ("''" in plain or "'" not in plain)
    if doubled and "'" in plain.replace("''", ""):
        raise ValueError("it has apostrophes that quote and doubled ones, whose places a person must know")

    def escaped(value: str) -> str:
        value = value.replace("'", "''") if doubled else value
        value = value.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t").replace("\r", r"\r")
        value = re.sub(r"^(?=[ \f=:])", r"\\", value)
        return "".join(_number(character, encoding) for character in value)

    return Span(start, end, plain.replace("''", "'") if doubled else plain, escaped)


def _number(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
        return character
    except UnicodeEncodeError:
        units = character.encode("utf-16-be")
        return "".join(rf"\u{units[at : at + 2].hex().upper()}" for at in range(0, len(units), 2))


STRINGS = Format(translate_strings, own_marks=True)
PROPERTIES = Format(translate_properties, own_marks=True)
