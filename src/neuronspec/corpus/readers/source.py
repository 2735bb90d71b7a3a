"""What the settings of every source of text have in common, and what a reader is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from neuronspec.core.errors import NeuronspecError
from neuronspec.core.settings import MANY, Added, Positive, Section, from_recipe_folder, matching, not_empty
from neuronspec.corpus.readers.opening import find_files, named_files, no_files

if TYPE_CHECKING:
    from neuronspec.corpus.readers.rows import Pair, ReadCounts, Rows, Split


DOMAIN = "[A-Za-z0-9_-]{1,30}"
"""How tags of domains are spelled."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The text that a corpus needs from its sources.

    Args:
        languages: that some direction uses, the pivot first.
        pairs: the language pairs that some direction translates between, sorted.
        also: pairs of zero-shot directions, whose files are read where a source has them.
        piece: which of the pieces of the source is read (`Source.pieces`); None for all of it.
    """

    languages: Sequence[str]
    pairs: Sequence[Pair]
    also: Sequence[Pair] = ()
    piece: int | None = None


class Source(Section):
    """What the sources of all readers take.

    Each reader has a subclass, in a file of its own, which the registry `READERS` names. A subclass has a field
    `reader: Literal["NAME"]`, the settings of the reader as further fields, and the methods below. Settings are checked
    without torch, so heavy libraries are imported inside the methods.
    """

    reader: str
    languages: Annotated[list[str], Field(min_length=2)] | None = Field(
        None,
        description="the languages that are read from this source, the pivot among them if it has it; all of "
        "corpus.languages and the pivot without it",
    )
    directions: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="the directions that are trained on this text, such as [en-de]; all without it. Training only"
    )
    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="the share of its rows that is used, drawn by text with the seed; all without it"
    )
    max_sentences: Positive | None = Field(
        None, description="rows that are used at most, from the beginning; with a share, of those that it draws"
    )
    weight: Annotated[float, Field(gt=0, le=MANY)] | None = Field(
        None,
        description="its share of training draws, against the weights of the other sources of a direction (1 where "
        "others have one); without any, sources are drawn by their size. Training only",
    )
    domain: Annotated[str, matching(DOMAIN, "1 to 30 letters from a to z, digits, '_' or '-'")] | None = Field(
        None, description="a tag that its sources begin with, bt for <bt> (back-translations, for one). Training only"
    )

    held_out: Annotated[bool, Added()] = Field(
        True,
        description="whether validation and test text are drawn from it, too, where no source is given for them; what "
        "another source holds out is dropped from the training text all the same. Training only",
    )

    @property
    def is_divided(self) -> bool:
        """Whether validation and test text may be drawn from it: not if it is of some directions or of a domain."""
        return self.held_out and self.directions is None and self.domain is None

    def inputs(self) -> dict[str, Any]:
        """What shows whether the text has changed, by file or package: sizes and times, or versions."""
        raise NotImplementedError

    def missing(self) -> list[NeuronspecError]:
        """What isn't installed here and reading needs, each with how to install it."""
        return []

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look for everything that is wrong and cheap to find, before the first row of any source is read.

        Args:
            wanted: the languages and pairs that will be read.
            split: that the source was given for.

        Raises:
            CorpusError: files are missing, or don't fit each other.
        """

    def pieces(self, wanted: Wanted) -> list[int]:
        """The sizes in bytes of the pieces that its rows can be read in apart, in their order: one for most readers.

        Args:
            wanted: the languages and pairs that will be read.

        Raises:
            CorpusError: files are missing, or don't fit each other.
        """
        return [0]

    def check_read(self, wanted: Wanted, counts: ReadCounts) -> None:
        """Look for what only reading tells, after the last row.

        Args:
            wanted: the languages and pairs that were read.
            counts: what was read of all pieces.

        Raises:
            CorpusError: there was no text of a language.
        """

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows in blocks, lazily.

        Args:
            wanted: the languages and pairs to read, and of which piece; others are left out.
            split: that the source was given for.
            counts: what was read and skipped is added to it.

        Raises:
            CorpusError: the text can't be read.
        """
        raise NotImplementedError


def _from_recipe_folder(path: Path, info: ValidationInfo) -> Path:
    return Path(from_recipe_folder(str(path), info))


PathOrPattern = Annotated[Path, BeforeValidator(not_empty), AfterValidator(_from_recipe_folder)]
"""A file, a folder or a pattern; relative to the recipe's folder."""


class FileSource(Source):
    """A source that is files of one kind. Subclasses say how such files end."""

    endings: ClassVar[tuple[str, ...]]

    path: PathOrPattern = Field(
        description="a file, a folder with such files in it or below it, or a pattern such as text/part-*; relative "
        "to the recipe's folder"
    )

    @field_validator("path")
    @classmethod
    def _check_files(cls, path: Path, info: ValidationInfo) -> Path:
        if (info.context or {}).get("check_files") and not find_files(path, cls.endings):
            raise ValueError(no_files(path, cls.endings))
        return path

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of the files."""
        return stamps(find_files(self.path, self.endings))

    def files(self) -> dict[str, Path]:
        """The files by name; see `named_files`.

        Raises:
            CorpusError: there are none.
        """
        return named_files(self.path, self.endings)

    def files_of(self, wanted: Wanted) -> list[tuple[str, Path]]:
        """The files of the piece that is wanted, by name: one, or all."""
        files = list(self.files().items())
        return files if wanted.piece is None else [files[wanted.piece]]

    def pieces(self, wanted: Wanted) -> list[int]:
        """The sizes of the files, each of which can be read apart."""
        return [path.stat().st_size for path in self.files().values()]


def stamps(paths: Iterable[Path]) -> dict[str, list[int]]:
    """The size in bytes and the time of change in nanoseconds of every file that exists, by path."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths if path.exists()}
