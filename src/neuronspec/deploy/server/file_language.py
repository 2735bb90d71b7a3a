"""The language of a file: what it says itself, else what its texts say, without markup, keys and comments."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import NeuronspecError
from neuronspec.deploy.documents.document import Options, translate_stream
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.registry import known_format
from neuronspec.deploy.server.bodies import Upload
from neuronspec.translation.engine import Translations

_HEAD = 10_000
"""Characters at the beginning of a file in which it says its language, if it does."""
_SAID = {
    "xliff": re.compile(r"""\b(?:source-language|srcLang)\s*=\s*["']([\w-]+)"""),
    "tmx": re.compile(r"""\bsrclang\s*=\s*["']([\w-]+)"""),
    "html": re.compile(r"""<html\b[^>]*\slang\s*=\s*["']?([\w-]+)""", re.IGNORECASE),
}


class _EnoughError(Exception):
    """No more texts are needed."""


class _Texts:
    """What documents take for a translator: it keeps what they want translated."""

    n_best = 1

    def __init__(self, characters: int) -> None:
        self.lines: list[str] = []
        self._left = characters

    def __call__(self, texts: list[str], direction: DirectionLike) -> list[str]:
        return list(self.translate(texts, direction))

    def translate(self, lines: Sequence[str], direction: DirectionLike, progress: Any = None) -> Translations:
        for line in lines:
            self.lines.append(line[: self._left])
            self._left -= len(line)
            if self._left <= 0:
                raise _EnoughError
        return Translations(list(lines), nbest=[[(line, 0.0)] for line in lines])

    def align(self, *lines: Any) -> Any:
        raise _EnoughError


def said_language(file: Upload) -> str | None:
    """The language that a file says its text is in, as it spells it."""
    pattern = _SAID.get(known_format(file.name) or "")
    found = pattern.search(file.content[: 4 * _HEAD].decode("utf-8", "replace")[:_HEAD]) if pattern else None
    return found[1] if found else None


def text_of(file: Upload, direction: Direction, characters: int, options: Options) -> str:
    """What of a file is translated, at most so many characters; all of a file that can't be read.

    Args:
        file: of a format that is supported.
        direction: one that is served: its source may be another language than that of the file.
        characters: at most.
        options: see `Options`.
    """
    kind, texts = known_format(file.name), _Texts(characters)
    assert kind is not None, "`check` takes it"
    source = Source(file.name, io.BytesIO(file.content))
    with suppress(_EnoughError, NeuronspecError, RecursionError):  # what is wrong is told when it is translated
        translate_stream(texts, direction, kind, source, io.BytesIO(), options)  # type: ignore[arg-type]
    return "\n".join(texts.lines) or file.content.decode("utf-8", "replace")[:characters]
