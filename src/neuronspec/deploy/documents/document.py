"""Which kind of file is translated how."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RecipeError
from neuronspec.core.files import replacing
from neuronspec.deploy.documents.columns import translate_jsonl, translate_tsv
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.po import translate_po
from neuronspec.deploy.documents.text import translate_text
from neuronspec.deploy.documents.xml_files import translate_tmx, translate_xliff
from neuronspec.deploy.translator import Translator

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """What the kinds of files need to know beside the translator.

    Args:
        scores: put scores before translations (plain text).
        column: the column or field to translate (tables).
        fuzzy: translate entries that are marked fuzzy, too (catalogs).
        console: where to tell what was left out.
    """

    scores: bool = False
    column: str | None = None
    fuzzy: bool = False
    console: Console | None = None


Handler = Callable[[Translator, Direction, Source, BinaryIO, Options], None]
KINDS: dict[str, Handler] = {
    ".po": translate_po,
    ".tsv": translate_tsv,
    ".jsonl": translate_jsonl,
    ".xlf": translate_xliff,
    ".xliff": translate_xliff,
    ".tmx": translate_tmx,
}
"""By the end of a file's name; all others are plain text."""


def translate_document(
    translator: Translator, direction: Direction, file: str, out: Path | None, options: Options | None = None
) -> None:
    """Translate a file (`-`: standard input) by what its name ends in; `out` is complete or as it was before.

    Raises:
        CorpusError: the file can't be read: it is missing, not UTF-8, or not what its name says.
        RecipeError: options that don't belong to this kind of file.
    """
    options = options or Options()
    suffix = "" if file == STANDARD_INPUT else Path(file).suffix.lower()
    handler = KINDS.get(suffix, _text)
    _check_options(suffix, handler, translator, options)
    with _opened(file) as source, _output(out) as stream:
        handler(translator, direction, source, stream, options)


def _text(translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options) -> None:
    translate_text(translator, direction, source, stream, scores=options.scores)


def _check_options(suffix: str, handler: Handler, translator: Translator, options: Options) -> None:
    if handler is not _text and (options.scores or translator.n_best > 1):
        raise RecipeError(f"--scores and --nbest are for plain text, not for {suffix} files")
    if options.column is not None and suffix not in (".tsv", ".jsonl"):
        raise RecipeError("--column is for .tsv and .jsonl files")
    if options.fuzzy and suffix != ".po":
        raise RecipeError("--fuzzy is for .po files")


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
