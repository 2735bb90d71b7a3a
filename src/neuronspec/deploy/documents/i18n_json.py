"""JSON with the texts of a program (`.json`, `.arb`): string values are translated, keys and form stay.

The parser checks the file. It doesn't say where values stand, so strings are found by their quotes, which is safe in a
file that is known to be JSON.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import NotJson, Pairs, parse_row
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.spans import Rewriter, Span, Text, line_counter
from neuronspec.deploy.translator import Translator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|mailto:|www\.)\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_NOTES = "@"
"""What keys of notes to translators begin with (`@title`, `@@locale` of ARB)."""


@dataclass(slots=True)
class _Level:
    """An object or a list that is open.

    Args:
        keys: of an object, how often each was there.
        key: the last one.
        is_value: whether a value comes next, not a key.
        stays: whether nothing in it is translated.
    """

    keys: Counter[str] | None
    stays: bool
    key: str = ""
    is_value: bool = False
    found: list[tuple[str, int, int]] = field(default_factory=list)


def translate_json(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the string values of a JSON file, at any depth; every other character stays.

    What is below a key that begins with `@` (ARB's notes) stays, and addresses. In a file of messages as browsers'
    extensions have it, `{"KEY": {"message": ...}}`, only messages are translated. Values whose key is in their object
    twice stay and are listed.

    Raises:
        CorpusError: it isn't JSON, neither an object nor a list, or not UTF-8.
    """
    text = Text.read(source)
    content = _checked(text)
    only = "message" if _is_extension(content) else None
    rewriter = Rewriter(translator, direction, text.name)
    escape = _escaping(text.text)
    spans, line = [], line_counter(text.text)
    for start, end, problem in _values(text.text, only):
        value = str(parse_row(text.text[start:end]))
        if _ADDRESS.fullmatch(value):
            continue
        if any("\ud800" <= character <= "\udfff" for character in value):
            problem = "it has half of a surrogate pair, which is no character"
        if problem:
            rewriter.leave(line(start), problem)
        else:
            spans.append(Span(start + 1, end - 1, value, escape))
    stream.write(text.encoded(rewriter.rewritten(text.text, spans)))
    rewriter.report()


def _checked(text: Text) -> object:
    try:
        content = parse_row(text.text)
    except NotJson as problem:
        raise CorpusError(f"{text.name}:{problem.line}: {problem}") from None
    if not isinstance(content, list):
        raise CorpusError(f"{text.name}:1: texts are in an object or a list, and this is neither")
    return content


def _is_extension(content: object) -> bool:
    values = [value for _, value in content] if isinstance(content, Pairs) else []
    return bool(values) and all(
        isinstance(each, Pairs) and isinstance(dict(each).get("message"), str) for each in values
    )


def _values(text: str, only: str | None) -> Iterator[tuple[int, int, str]]:
    """Where the strings are that are values, with their quotes, and what is wrong with them."""
    levels: list[_Level] = []
    for match in _TOKEN.finditer(text):
        written = match[0]
        level = levels[-1] if levels else None
        if written in "{[":
            stays = level is not None and (level.stays or level.key.startswith(_NOTES))
            levels.append(_Level(Counter() if written == "{" else None, stays, is_value=written == "["))
            if written == "[" and level is not None:
                levels[-1].key = level.key
        elif written in "}]":
            yield from _found(levels.pop())
        elif level is None:
            continue
        elif written == ":":
            level.is_value = True
        elif written == ",":
            level.is_value = level.keys is None
        elif written[0] == '"' and not level.is_value and level.keys is not None:
            level.key = str(parse_row(written))
            level.keys[level.key] += 1
        elif written[0] == '"' and not level.stays and not level.key.startswith(_NOTES):
            level.found += [(level.key, *match.span())] if only is None or (level.key, len(levels)) == (only, 2) else []


def _found(level: _Level) -> Iterator[tuple[int, int, str]]:
    for key, start, end in level.found:
        twice = level.keys is not None and level.keys[key] > 1
        yield start, end, f"the key {key!r} is in its object more than once" if twice else ""


def _escaping(text: str) -> Callable[[str], str]:
    r"""How strings are written in a file: with characters or their numbers, and with `/` or `\/`."""
    numbers = text.isascii() and re.search(r"\\u(?!00[0-7])[0-9A-Fa-f]{4}", text) is not None
    slashes = r"\/" in text and re.search(r"(?<!\\)/", text) is None

    def escape(value: str) -> str:
        written = json.dumps(value, ensure_ascii=numbers)[1:-1]
        return written.replace("/", r"\/") if slashes else written

    return escape


JSON = Format(translate_json, own_marks=True)
