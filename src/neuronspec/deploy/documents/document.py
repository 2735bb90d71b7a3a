"""Translating a file by the end of its name; what every format is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RecipeError
from neuronspec.core.files import replacing
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.registry import FORMATS
from neuronspec.deploy.translator import Translator

STANDARD_INPUT = "-"
PLAIN = ".txt"
"""What standard input and files of all other endings are."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the kinds of files need to know beside the translator.

    Args:
        scores: put scores before translations (plain text).
        column: the column or field to translate (tables).
        fuzzy: translate entries that are marked fuzzy, too (catalogs).
    """

    scores: bool = False
    column: str | None = None
    fuzzy: bool = False


Handler = Callable[[Translator, Direction, Source, BinaryIO, Options], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of documents.

    Args:
        translate: reads the source, writes the same with translations.
        options: those of `Options` that it obeys; `scores` also stands for n-best lists.
    """

    translate: Handler
    options: tuple[str, ...] = ()


def translate_document(
    translator: Translator, direction: Direction, file: str, out: Path | None, options: Options | None = None
) -> None:
    """Translate a file (`-`: standard input) by what its name ends in; `out` is complete or as it was before.

    Raises:
        CorpusError: the file can't be read: it is missing, not UTF-8, or not what its name says.
        RecipeError: options that don't belong to this kind of file.
    """
    options = options or Options()
    suffix = PLAIN if file == STANDARD_INPUT else Path(file).suffix.lower()
    if suffix not in FORMATS:
        suffix = PLAIN
    _check_options(suffix, translator, options)
    with _opened(file) as source, _output(out) as stream:
        FORMATS.get(suffix).translate(translator, direction, source, stream, options)


def _check_options(suffix: str, translator: Translator, options: Options) -> None:
    obeyed = FORMATS.get(suffix).options
    if "scores" not in obeyed and (options.scores or translator.n_best > 1):
        raise RecipeError(f"--scores and --nbest are for plain text, not for {suffix} files")
    for option, given in (("column", options.column is not None), ("fuzzy", options.fuzzy)):
        if given and option not in obeyed:
            suited = [ending for ending in FORMATS if option in FORMATS.get(ending).options]
            raise RecipeError(f"--{option} is for {' and '.join(suited)} files")


@contextmanager
def _opened(file: str) -> Iterator[Source]:
    if file == STANDARD_INPUT:
        yield Source("standard input", sys.stdin.buffer)
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise CorpusError(f"{file} can't be read: {error.strerror or error}") from None
    with stream:
        yield Source(file, stream)


@contextmanager
def _output(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replacing(out) as temporary, temporary.open("wb") as stream:
        yield stream
