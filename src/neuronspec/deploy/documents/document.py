"""Translating a file in its format; what every format is."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.core.files import replacing
from neuronspec.core.languages import match_language
from neuronspec.corpus.readers.source import DOMAIN
from neuronspec.deploy.documents.assisted import Assisted
from neuronspec.deploy.documents.glossary import Glossary
from neuronspec.deploy.documents.lines import Source, without_mark
from neuronspec.deploy.documents.memory import TranslationMemory
from neuronspec.deploy.documents.registry import FORMATS, SUPPORTED, known_format
from neuronspec.deploy.translator import Translator

STANDARD_INPUT = "-"
PLAIN = "text"
"""What standard input is, and files whose name ends in nothing or in the language (`news.en`)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the kinds of files need to know beside the translator.

    Args:
        scores: put scores before translations (plain text).
        column: the column or field to translate (tables).
        fuzzy: translate entries that are marked fuzzy, too (catalogs).
        tag: write text and translation as JSON lines, a source of training text with this domain (plain text).
        memory: has translations that are taken before the model is asked.
        glossary: has terms that translations are checked for.
    """

    scores: bool = False
    column: str | None = None
    fuzzy: bool = False
    tag: str | None = None
    memory: TranslationMemory | None = None
    glossary: Glossary | None = None

    @property
    def of_some(self) -> dict[str, bool]:
        """The options that only some formats obey, and whether each is given."""
        return {"column": self.column is not None, "fuzzy": self.fuzzy, "tag": self.tag is not None}

    def fitting(self, kind: str) -> Options:
        """These, without those of `of_some` that a format doesn't obey."""
        obeyed = FORMATS.get(kind).options
        column, fuzzy = (self.column if "column" in obeyed else None), (self.fuzzy and "fuzzy" in obeyed)
        return replace(self, column=column, fuzzy=fuzzy, tag=self.tag if "tag" in obeyed else None)


Handler = Callable[[Translator, Direction, Source, BinaryIO, Options], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of documents.

    Args:
        translate: reads the source, writes the same with translations.
        options: those of `Options` that it obeys; `scores` also stands for n-best lists.
        own_marks: whether it reads byte order marks, those of UTF-16 and UTF-32 too, by itself.
    """

    translate: Handler
    options: tuple[str, ...] = ()
    own_marks: bool = False


def format_of(file: str, source: str, kind: str | None = None) -> str:
    """The name of a document's format.

    Args:
        file: its path; `-` is standard input.
        source: the language that it is in. A file that is named for it, `news.en`, is plain text.
        kind: the format, where the user says it.

    Raises:
        RecipeError: there is no such format, or nothing says what the file is: treating it as plain text would destroy
            it line by line.
    """
    if kind is not None:
        return FORMATS.check(kind)
    suffix = "" if file == STANDARD_INPUT else Path(file).suffix
    known = known_format(file)
    if known is not None:  # asked first: `arb` is a format and also Arabic
        return known
    if not suffix or match_language(suffix[1:], [source]):
        return PLAIN
    raise RecipeError(
        f"{file}: files that end in {suffix} aren't supported; supported: {', '.join(SUPPORTED)}. "
        f"To treat it as one of {', '.join(FORMATS)}, say so with --as; text is translated line by line"
    )


def check_file(file: str, out: Path | None, source: str, kind: str | None, options: Options) -> None:
    """Check, before a model is loaded for it, that a document can be translated.

    Args:
        file: its path; `-` is standard input.
        out: where the translated file goes; standard output without it.
        source: the language that it is in.
        kind: the format, where the user says it.
        options: see `Options`.

    Raises:
        PathError: there is no such file, or a folder is where the translated one goes.
        RecipeError: the format isn't known, or options don't belong to it.
    """
    if file != STANDARD_INPUT and not Path(file).exists():
        raise PathError(f"{file} can't be read: {os.strerror(errno.ENOENT)}")
    if out is not None and out.is_dir():
        raise PathError(f"--out {out} is a folder; {file} is a file, so name a file")
    check_options([format_of(file, source, kind)], options)


def check_options(kinds: Collection[str], options: Options) -> None:
    """Check that the options belong to at least one of some formats.

    Raises:
        RecipeError: one does not, or the tag can't be one.
    """
    if options.tag is not None and not re.fullmatch(DOMAIN, options.tag):
        raise RecipeError(f"--tag {options.tag!r}: a tag has 1 to 30 letters, digits, '_' or '-', such as bt")
    for option, given in options.of_some.items():
        if given and not any(option in FORMATS.get(kind).options for kind in kinds):
            *others, last = [name for name in FORMATS if option in FORMATS.get(name).options]
            raise RecipeError(f"--{option} is for {' and '.join([*filter(None, [', '.join(others)]), last])} files")


def translate_document(
    translator: Translator,
    direction: Direction,
    file: str,
    out: Path | None,
    options: Options | None = None,
    kind: str | None = None,
) -> None:
    """Translate a file in its format; `out` is complete or as it was before. A byte order mark stays.

    Args:
        translator: serves the direction.
        direction: of the translation.
        file: its path; `-` is standard input.
        out: where the translated file goes; standard output without it.
        options: see `Options`.
        kind: the format; by default it is known by the end of the name, see `format_of`.

    Raises:
        PathError: there is no such file.
        CorpusError: the file can't be read: it is not UTF-8, or not what its name says.
        RecipeError: the format isn't known, or options don't belong to it.
    """
    options, kind = options or Options(), format_of(file, direction.source, kind)
    _check_options(kind, translator, options)
    with _opened(file) as source, _output(out) as stream:
        translate_stream(translator, direction, kind, source, stream, options)


def translate_stream(
    translator: Translator, direction: Direction, kind: str, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate a document of a known format from one stream to another.

    Args:
        translator: serves the direction.
        direction: of the translation.
        kind: the format.
        source: where the document is read.
        stream: where it is written.
        options: see `Options`.

    Raises:
        CorpusError: as of `translate_document`; what comes before may be written.
        RecipeError: an option doesn't fit the document.
    """
    found = FORMATS.get(kind)
    if not found.own_marks:
        mark, source = without_mark(source)
        stream.write(mark)
    helped = options.memory is not None or options.glossary is not None
    assisted = Assisted(translator, options.memory, options.glossary) if helped else None
    try:
        found.translate(cast(Translator, assisted or translator), direction, source, stream, options)
    except RecursionError:
        raise CorpusError(f"{source.name}: its elements are nested too deeply") from None
    if assisted is not None:
        assisted.report(source.name)


def _check_options(kind: str, translator: Translator, options: Options) -> None:
    if "scores" not in FORMATS.get(kind).options and (options.scores or translator.n_best > 1):
        raise RecipeError(f"--scores and --nbest are for plain text, not for {kind} files")
    check_options([kind], options)


@contextmanager
def _opened(file: str) -> Iterator[Source]:
    if file == STANDARD_INPUT:
        if sys.stdin is None:
            raise CorpusError("standard input is closed: name a file to translate")
        yield Source("standard input", sys.stdin.buffer)
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 (closed below)
    except FileNotFoundError as error:
        raise PathError(f"{file} can't be read: {error.strerror}") from None
    except OSError as error:
        raise CorpusError(f"{file} can't be read: {error.strerror or error}") from None
    with stream:
        yield Source(file, stream)


@contextmanager
def _output(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        if sys.stdout is None:
            raise CorpusError("standard output is closed: name a file to write with --out")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if _is_stream(out):
        with out.open("wb") as stream:
            yield stream
        return
    with replacing(out) as temporary, temporary.open("wb") as stream:
        yield stream


def _is_stream(out: Path) -> bool:
    """Whether a path is a pipe or a device, which no file may replace."""
    return out.exists() and (
        not out.is_file() or (out.is_symlink() and out.absolute().parts[:2] in (("/", "dev"), ("/", "proc")))
    )
